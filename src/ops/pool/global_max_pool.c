/* GlobalMaxPool: the largest element of each channel over all its positions, which stay as axes of size 1. */
#include "ops/conv/common_conv.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_rank(c, 0, 3, SKIVE_MAX_RANK));
    skv_out_like(c, 0, 0);
    for (int a = 2; a < c->out[0].rank; a++) c->out[0].dims[a] = skv_dim_of(1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t planes = x->dims[0] * x->dims[1], size = planes ? skive_tensor_count(x) / planes : 0;
    for (int64_t p = 0; p < planes; p++) {
        double most = -INFINITY;
        for (int64_t i = 0; i < size; i++) {
            const double v = skv_load_f64(x->dtype, x->data, (size_t)(p * size + i));
            if (v > most || isnan(v)) most = v;
        }
        skv_store_f64(y->dtype, y->data, (size_t)p, most);
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_g3(c->b, "ReduceExtremeGrad", c->dout[0], c->node->inputs[0], c->node->outputs[0]);
    return c->b->status;
}

static void couple(skv_couple *c) {
    for (int a = 0; a < 2; a++) skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 2, 2, 2), CASE_VALUES(1, 4, 3, 2, -5, -6, -7, -8)}),
     .n_out = 1,
     CASE_EXPECT(4, -5),
     CASE_OUT(1, 2, 1, 1)},
};

const skv_op skv_op_global_max_pool = {
    .name = "GlobalMaxPool",
    .domain = "",
    .brief = "largest element of each channel",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = skv_range_first,
    .bounds = skv_bound_channels,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
