/* Hardmax: 1 at the first largest element along `axis`, 0 elsewhere, in the form of opset 13. Its gradient is zero. */
#include "ops/common_shape.h"
#include "ops/activation/common_softmax.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
};

static void row(double *y, const double *other, int64_t n, int64_t step) {
    int64_t best = 0;
    (void)other;
    for (int64_t i = 1; i < n; i++)
        if (y[i * step] > y[best * step]) best = i;
    for (int64_t i = 0; i < n; i++) y[i * step] = i == best;
}

static skive_status run(const skv_eval *c) { return skv_softmax_run(c, row); }

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    (void)in;
    return (skv_range){0.0, 1.0};
}

static const skv_op_case cases[] = {
    {.name = "first of equals",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 3, 3, 5, 2, 0)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 0, 1, 0, 0),
     .no_grad = true},
    {.name = "axis 0",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(0, 5, 1, 4)}),
     CASE_ATTRS(CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(0, 1, 1, 0)},
};

const skv_op skv_op_hardmax = {
    .name = "Hardmax",
    .domain = "",
    .brief = "1 at the largest element along an axis, 0 elsewhere",
    .since = 13,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = skv_softmax_import,
    .infer = skv_softmax_infer,
    .run = run,
    .grad = skv_grad_zero,
    .couple = skv_softmax_couple,
    .range = range,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
