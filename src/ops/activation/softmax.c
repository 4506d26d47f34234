/* Softmax: exp(x) divided by its sum along `axis`, in the form of opset 13. */
#include "ops/activation/common_softmax.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
};

static void row(double *y, const double *other, int64_t n, int64_t step) {
    (void)other;
    double most = y[0], sum = 0.0;
    for (int64_t i = 1; i < n; i++) most = y[i * step] > most ? y[i * step] : most;
    for (int64_t i = 0; i < n; i++) sum += y[i * step] = exp(y[i * step] - most);
    for (int64_t i = 0; i < n; i++) y[i * step] /= sum;
}

static skive_status run(const skv_eval *c) { return skv_softmax_run(c, row); }

static skive_status grad(skv_grad *c) {
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "SoftmaxGrad", SKV_IN(c->dout[0], c->node->outputs[0]),
                             SKV_ATTRS(SKV_INT("axis", skv_attr_int(c->node, "axis", -1))));
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    (void)in;
    return (skv_range){0.0, 1.0};
}

static void cost(const skive_node *n, skive_cost *out) {
    for (int i = 0; i < 3; i++) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    {.name = "example", /* "softmax_example" of the ONNX specification */
     CASE_IN({CASE_F32(1, 3), CASE_VALUES(-1, 0, 1)}),
     .n_out = 1,
     CASE_EXPECT(0.09003057317038046, 0.24472847105479764, 0.6652409557748218)},
    {.name = "large numbers", /* from the same place */
     CASE_IN({CASE_F32(2, 4), CASE_VALUES(0, 1, 2, 3, 10000, 10001, 10002, 10003)}),
     .n_out = 1,
     CASE_EXPECT(0.03205860328008499, 0.08714431874203257, 0.23688281808991013, 0.6439142598879722, 0.03205860328008499,
                 0.08714431874203257, 0.23688281808991013, 0.6439142598879722),
     .no_grad = true},
    {.name = "axis 0",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(0, 5, 0, 5)}),
     CASE_ATTRS(CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(0.5, 0.5, 0.5, 0.5)},
    {.name = "axis in the middle",
     CASE_IN({CASE_F32(2, 3, 4), .lo = -2, .hi = 2}),
     CASE_ATTRS(CASE_INT("axis", 1)),
     .n_out = 1},
    {.name = "last axis", CASE_IN({CASE_F32(3, 5), .lo = -2, .hi = 2}), .n_out = 1},
};

const skv_op skv_op_softmax = {
    .name = "Softmax",
    .domain = "",
    .brief = "exponentials divided by their sum along an axis",
    .since = 13,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = skv_softmax_import,
    .infer = skv_softmax_infer,
    .run = run,
    .grad = grad,
    .couple = skv_softmax_couple,
    .range = range,
    .cost = cost,
    SKV_LIST(cases),
};
