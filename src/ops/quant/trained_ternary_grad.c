/* TrainedTernaryGrad(x, values, dY) -> dX, dValues: the gradient of TrainedTernary. */
#include "ops/quant/common_quantize.h"

static const skv_attr_spec attrs[] = {
    {"threshold", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"factor", SKV_ATTR_FLOAT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < 3; i++) SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_vector(c, 1, 2, "the two values"));
    SKV_TRY(skv_want_same_shape(c, 0, 2));
    skv_out_like(c, 0, 0);
    if (c->n_out > 1) skv_out_like(c, 1, 1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *values = c->in[1], *dy = c->in[2];
    skive_tensor *dx = c->out[0], *dv = c->n_out > 1 ? c->out[1] : NULL;
    const double limit = skv_ternary_limit(c->node, x), factor = skv_attr_float(c->node, "factor", 1),
                 up = skv_load_f64(values->dtype, values->data, 0), down = skv_load_f64(values->dtype, values->data, 1);
    double sum[2] = {0};
    for (size_t i = 0; i < (size_t)skive_tensor_count(x); i++) {
        const double v = skv_load_f64(x->dtype, x->data, i), d = skv_load_f64(dy->dtype, dy->data, i);
        if (v > limit) sum[0] += d;
        if (v < -limit) sum[1] -= d;
        if (dx) skv_store_f64(dx->dtype, dx->data, i, v > limit ? up * d : v < -limit ? down * d : d);
    }
    for (size_t i = 0; dv && i < 2; i++) skv_store_f64(dv->dtype, dv->data, i, factor * sum[i]);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(5), CASE_VALUES(-4, -1, 0.5, 1.5, 3)}, {CASE_F32(2), CASE_VALUES(2, 3)},
             {CASE_F32(5), CASE_VALUES(1, 2, 3, 4, 5)}),
     CASE_ATTRS(CASE_FLT("threshold", 0.25)),
     .n_out = 2,
     CASE_EXPECT(3, 2, 3, 8, 10),
     .no_grad = true},
};

const skv_op skv_op_trained_ternary_grad = {
    .name = "TrainedTernaryGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of TrainedTernary",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
