/* FakeQuantizeGrad(x, dY, scale?, zero_point?, count?): dY where the gradient of FakeQuantize passes, else 0; and the
 * gradient of the scale, if `step` says that it is learned. */
#include "ops/quant/common_quantize.h"

enum { DY = 1, SCALE = 2, ZERO = 3, COUNT = 4 };

static const skv_attr_spec attrs[] = {
    {"grid", SKV_ATTR_STRING, SKV_REQUIRED},    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
    {"block_size", SKV_ATTR_INT, SKV_OPTIONAL}, {"step", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"factor", SKV_ATTR_FLOAT, SKV_OPTIONAL},   {"delay", SKV_ATTR_FLOAT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    skv_fake f;
    const skive_type *in[3] = {c->in[0], c->n_in > SCALE ? c->in[SCALE] : NULL, c->n_in > ZERO ? c->in[ZERO] : NULL};
    skv_infer forward = *c; /* FakeQuantize's inputs */
    forward.in = in;
    forward.n_in = 3;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_float(c, DY));
    SKV_TRY(skv_want_same_shape(c, 0, DY));
    SKV_TRY(skv_fake_of(c->ctx, c->node, skv_node_in(c->node, SCALE) != NULL, &f));
    SKV_TRY(skv_infer_scales(&forward));
    SKV_TRY(skv_fake_want_count(c, COUNT));
    skv_out_like(c, 0, 0);
    if (c->n_out > 1) skv_out_like(c, 1, SCALE);
    return SKIVE_OK;
}

typedef struct passing {
    const skive_tensor *x, *dy;
    skive_tensor *dx;
    double *ds; /* of each scale, or NULL */
} passing;

static void pass_run(void *user, const skv_fake *f, const skv_grid_params *p, int64_t first, int64_t n, int64_t s) {
    passing *t = user;
    float x[SKV_SCALE_RUN], d[SKV_SCALE_RUN], low, high;
    skv_to_f32(t->x->dtype, t->x->data, (size_t)first, (size_t)n, x);
    skv_to_f32(t->dy->dtype, t->dy->data, (size_t)first, (size_t)n, d);
    float slope[SKV_SCALE_RUN];
    skv_fake_transform(f, p, x, n, slope);
    if (f->step == SKV_STEP_FIXED) {
        skv_grid_gradient_of(&f->q, p, x, d, n, d);
    } else {
        skv_fake_ends(&f->q, p, &low, &high);
        for (int64_t i = 0; i < n; i++) {
            const float at = x[i] / p->scale;
            const bool inside = at > low && at < high;
            const float level =
                inside && f->step == SKV_STEP_PACT ? 0 : skv_grid_level(&f->q, p, skv_grid_encode(&f->q, p, x[i]));
            const float rise = !inside || f->step == SKV_STEP_PACT ? level : level - at;
            if (t->ds) t->ds[s] += (double)rise * (double)d[i];
            d[i] = inside ? d[i] : 0;
        }
    }
    for (int64_t i = 0; f->tanh && i < n; i++) d[i] *= slope[i];
    if (t->dx) skv_from_f32(t->dx->dtype, t->dx->data, (size_t)first, (size_t)n, d);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *scale = c->n_in > SCALE ? c->in[SCALE] : NULL, *zero = c->n_in > ZERO ? c->in[ZERO] : NULL;
    passing t = {.x = c->in[0], .dy = c->in[DY], .dx = c->out[0]};
    skive_tensor *ds = c->n_out > 1 ? c->out[1] : NULL;
    skv_fake f;
    if (!skv_tensor_same_shape(t.x, t.dy))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the gradient and the value differ in shape");
    SKV_TRY(skv_fake_of(c->ctx, c->node, scale != NULL, &f));
    const size_t n = ds && scale ? (size_t)skive_tensor_count(scale) : 0;
    if (n) SKV_TRY(skv_alloc_array(c->ctx, n, sizeof *t.ds, &t.ds));
    skive_status status = SKIVE_OK;
    if (skv_fake_waits(&f, c->n_in > COUNT ? c->in[COUNT] : NULL)) {
        for (int64_t i = 0; t.dx && i < skive_tensor_count(t.x); i++)
            skv_store_f64(t.dx->dtype, t.dx->data, (size_t)i, skv_load_f64(t.dy->dtype, t.dy->data, (size_t)i));
    } else {
        status = skv_fake_runs(c, &f, t.x, scale, zero, pass_run, &t);
    }
    for (size_t i = 0; i < n; i++) skv_store_f64(ds->dtype, ds->data, i, t.ds[i] * f.factor);
    skv_free(c->ctx, t.ds);
    return status;
}

static const skv_op_case cases[] = {
    /* int4 in steps of 0.5 ends at 3.5, and half a step further rounding still decides */
    {.name = "by hand",
     CASE_IN({CASE_F32(5), CASE_VALUES(0, 3.6, 3.8, -4.2, -4.3)}, {CASE_F32(5), CASE_VALUES(1, 2, 3, 4, 5)},
             {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true}),
     CASE_ATTRS(CASE_STR("grid", "int4")),
     .n_out = 1,
     CASE_EXPECT(1, 2, 0, 4, 0),
     .no_grad = true},
    /* uint8 from -1 to 254 */
    {.name = "a zero point",
     CASE_IN({CASE_F32(4), CASE_VALUES(-1.4, -1.6, 254.4, 254.6)}, {CASE_F32(4), CASE_VALUES(1, 2, 3, 4)},
             {CASE_SCALAR(SKIVE_F32, 1), .constant = true}, {CASE_SCALAR(SKIVE_U8, 1)}),
     CASE_ATTRS(CASE_STR("grid", "uint8")),
     .n_out = 1,
     CASE_EXPECT(1, 0, 3, 0),
     .no_grad = true},
    {.name = "ternary, everywhere",
     CASE_IN({CASE_F32(2), CASE_VALUES(0, 99)}, {CASE_F32(2), CASE_VALUES(1, 2)},
             {CASE_SCALAR(SKIVE_F32, 1), .constant = true}),
     CASE_ATTRS(CASE_STR("grid", "ternary")),
     .n_out = 1,
     CASE_EXPECT(1, 2),
     .no_grad = true},
    {.name = "learned, no half step outside",
     CASE_IN({CASE_F32(5), CASE_VALUES(0, 3.4, 3.6, -4.2, -3.9)}, {CASE_F32(5), CASE_VALUES(1, 2, 3, 4, 5)},
             {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true}),
     CASE_ATTRS(CASE_STR("grid", "int4"), CASE_STR("step", "lsq"), CASE_FLT("factor", 0.5)),
     .n_out = 2,
     CASE_EXPECT(1, 2, 0, 0, 5),
     .no_grad = true},
    {.name = "fitted, of each row",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(3, -4, 1, 0)}, {CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}),
     CASE_ATTRS(CASE_STR("grid", "binary"), CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 4),
     .no_grad = true},
};

const skv_op skv_op_fake_quantize_grad = {
    .name = "FakeQuantizeGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of FakeQuantize",
    .since = 1,
    .min_in = 2,
    .max_in = 5,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
