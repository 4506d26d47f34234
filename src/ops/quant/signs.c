/* Signs(x): 2 where x >= 0, else 0 (also for NaN), as uint8: the sign with the zero point 1. Plans make it of
 * GreaterOrEqual and Where, by which files write signs. */
#include "ops/common_nn.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    skv_out_like(c, 0, 0);
    c->out[0].dtype = SKIVE_U8;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    uint8_t *y = c->out[0] ? c->out[0]->data : NULL;
    const int64_t n = skive_tensor_count(x);
    for (int64_t i = 0; y && i < n; i++) y[i] = skv_load_f64(x->dtype, x->data, (size_t)i) >= 0 ? 2 : 0;
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(5), CASE_VALUES(-1, 0, 3, -0.0, -1e-30)}),
     .n_out = 1,
     CASE_EXPECT(0, 2, 2, 2, 0),
     .no_grad = true},
};

const skv_op skv_op_signs = {
    .name = "Signs",
    .domain = SKV_DOMAIN,
    .brief = "2 where x is not negative, else 0",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
