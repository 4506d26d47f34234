/* FakeQuantize(x, scale, zero_point?): x rounded to a number grid, in floats: decode(encode(x)) of the grid that the
 * attribute `grid` names, with one scale, one for each channel of `axis`, or one for each block of `block_size` along
 * it. The arithmetic is that of the grid (tensor/grid.h); for an integer grid it is DequantizeLinear of QuantizeLinear.
 *
 * The gradient passes straight through, by the grid's rule: for integers, where rounding and not clipping decided the
 * result (Jacob et al. 2018; Bengio et al. 2013). The scale has no gradient here. */
#include "ops/quant/common_quantize.h"

static const skv_attr_spec attrs[] = {
    {"grid", SKV_ATTR_STRING, SKV_REQUIRED},
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
    {"block_size", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    skv_quantizer q;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_fake_quantizer_of(c->ctx, c->node, &q));
    SKV_TRY(skv_infer_scales(c));
    skv_out_like(c, 0, 0);
    return SKIVE_OK;
}

typedef struct rounding {
    const skive_tensor *x, *scale, *zp;
    skive_tensor *y;
    skv_quantizer q;
} rounding;

static void round_run(void *user, int64_t first, int64_t n, int64_t s) {
    const rounding *t = user;
    float x[SKV_SCALE_RUN];
    const skv_grid_params p = skv_scale_params(t->scale, t->zp, s);
    skv_to_f32(t->x->dtype, t->x->data, (size_t)first, (size_t)n, x);
    skv_grid_fake(&t->q, &p, x, n, x);
    skv_from_f32(t->y->dtype, t->y->data, (size_t)first, (size_t)n, x);
}

static skive_status run(const skv_eval *c) {
    rounding t = {.x = c->in[0], .scale = c->in[1], .zp = c->n_in > 2 ? c->in[2] : NULL, .y = c->out[0]};
    skv_scale_map m;
    if (!t.y) return SKIVE_OK;
    SKV_TRY(skv_fake_quantizer_of(c->ctx, c->node, &t.q));
    SKV_TRY(skv_scale_map_of(c, t.x, t.scale, &m));
    skv_scale_runs(&m, round_run, &t);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_fake_quantize_gradient(c, skv_attr_string(c->node, "grid", ""));
    return c->b->status;
}

static const skv_op_case cases[] = {
    /* steps of 0.5: 0 1.2 2.4 is 0 2.4 4.8, to 0 2 5; 9 is clipped to 7 */
    {.name = "int4",
     CASE_IN({CASE_F32(5), CASE_VALUES(0, 1.2, 2.4, 9, -9)}, {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true}),
     CASE_ATTRS(CASE_STR("grid", "int4")),
     .n_out = 1,
     CASE_EXPECT(0, 1, 2.5, 3.5, -4),
     .no_grad = true},
    {.name = "uint8 with a zero point, an axis",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(-3, 300, -3, 300)}, {CASE_F32(2), CASE_VALUES(1, 2), .constant = true},
             {CASE_TYPED(SKIVE_U8, 2), CASE_VALUES(1, 2)}),
     CASE_ATTRS(CASE_STR("grid", "uint8"), CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(-1, 254, -4, 300),
     .no_grad = true},
    {.name = "ternary",
     CASE_IN({CASE_F32(4), CASE_VALUES(-3, 0.9, 1.1, 0)}, {CASE_SCALAR(SKIVE_F32, 2), .constant = true}),
     CASE_ATTRS(CASE_STR("grid", "ternary")),
     .n_out = 1,
     CASE_EXPECT(-2, 0, 2, 0),
     .no_grad = true},
};

const skv_op skv_op_fake_quantize = {
    .name = "FakeQuantize",
    .domain = SKV_DOMAIN,
    .brief = "rounds to a number grid, with a straight-through gradient",
    .since = 1,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .inputs = skv_quantize_inputs,
    .n_inputs = SKV_QUANTIZE_INPUTS,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_scales,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .no_fold = true,
};
