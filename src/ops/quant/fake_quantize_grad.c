/* FakeQuantizeGrad(x, scale, dY, zero_point?): dY where the gradient of FakeQuantize passes, else 0. */
#include "ops/quant/common_quantize.h"

enum { DY = 2, ZERO = 3 };

static const skv_attr_spec attrs[] = {
    {"grid", SKV_ATTR_STRING, SKV_REQUIRED},
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
    {"block_size", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    skv_quantizer q;
    const skive_type *in[3] = {c->in[0], c->in[1], c->n_in > ZERO ? c->in[ZERO] : NULL};
    skv_infer forward = *c; /* FakeQuantize's inputs */
    forward.in = in;
    forward.n_in = 3;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_float(c, DY));
    SKV_TRY(skv_want_same_shape(c, 0, DY));
    SKV_TRY(skv_fake_quantizer_of(c->ctx, c->node, &q));
    SKV_TRY(skv_infer_scales(&forward));
    skv_out_like(c, 0, 0);
    return SKIVE_OK;
}

typedef struct passing {
    const skive_tensor *x, *scale, *zp, *dy;
    skive_tensor *dx;
    skv_quantizer q;
} passing;

static void pass_run(void *user, int64_t first, int64_t n, int64_t s) {
    const passing *t = user;
    float x[SKV_SCALE_RUN], d[SKV_SCALE_RUN];
    const skv_grid_params p = skv_scale_params(t->scale, t->zp, s);
    skv_to_f32(t->x->dtype, t->x->data, (size_t)first, (size_t)n, x);
    skv_to_f32(t->dy->dtype, t->dy->data, (size_t)first, (size_t)n, d);
    skv_grid_gradient_of(&t->q, &p, x, d, n, d);
    skv_from_f32(t->dx->dtype, t->dx->data, (size_t)first, (size_t)n, d);
}

static skive_status run(const skv_eval *c) {
    passing t = {
        .x = c->in[0], .scale = c->in[1], .zp = c->n_in > ZERO ? c->in[ZERO] : NULL, .dy = c->in[DY], .dx = c->out[0]};
    skv_scale_map m;
    if (!t.dx) return SKIVE_OK;
    if (!skv_tensor_same_shape(t.x, t.dy))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the gradient and the value differ in shape");
    SKV_TRY(skv_fake_quantizer_of(c->ctx, c->node, &t.q));
    SKV_TRY(skv_scale_map_of(c, t.x, t.scale, &m));
    skv_scale_runs(&m, pass_run, &t);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    /* int4 in steps of 0.5 ends at 3.5, and half a step further rounding still decides */
    {.name = "by hand",
     CASE_IN({CASE_F32(5), CASE_VALUES(0, 3.6, 3.8, -4.2, -4.3)}, {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true},
             {CASE_F32(5), CASE_VALUES(1, 2, 3, 4, 5)}),
     CASE_ATTRS(CASE_STR("grid", "int4")),
     .n_out = 1,
     CASE_EXPECT(1, 2, 0, 4, 0),
     .no_grad = true},
    /* uint8 from -1 to 254 */
    {.name = "a zero point",
     CASE_IN({CASE_F32(4), CASE_VALUES(-1.4, -1.6, 254.4, 254.6)}, {CASE_SCALAR(SKIVE_F32, 1), .constant = true},
             {CASE_F32(4), CASE_VALUES(1, 2, 3, 4)}, {CASE_SCALAR(SKIVE_U8, 1)}),
     CASE_ATTRS(CASE_STR("grid", "uint8")),
     .n_out = 1,
     CASE_EXPECT(1, 0, 3, 0),
     .no_grad = true},
    {.name = "ternary, everywhere",
     CASE_IN({CASE_F32(2), CASE_VALUES(0, 99)}, {CASE_SCALAR(SKIVE_F32, 1), .constant = true},
             {CASE_F32(2), CASE_VALUES(1, 2)}),
     CASE_ATTRS(CASE_STR("grid", "ternary")),
     .n_out = 1,
     CASE_EXPECT(1, 2),
     .no_grad = true},
};

const skv_op skv_op_fake_quantize_grad = {
    .name = "FakeQuantizeGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of FakeQuantize",
    .since = 1,
    .min_in = 3,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
