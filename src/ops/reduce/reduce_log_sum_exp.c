/* ReduceLogSumExp: ln of the sum of e^x over axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

/* ln(e^a + e^x) without leaving the range of double */
static double step(double a, double x) {
    const double most = fmax(a, x), least = fmin(a, x);
    if (isnan(a) || isnan(x)) return NAN;
    return isinf(most) ? most : most + log1p(exp(least - most));
}

static skive_status run(const skv_eval *c) {
    static const skv_reducer r = {.start = -INFINITY, .step = step, .finish = NULL};
    return skv_reduce_run(c, &r);
}

static skive_status grad(skv_grad *c) {
    skive_value *x = c->node->inputs[0];
    if (!c->need[0]) return SKIVE_OK;
    skive_value *share = skv_g1(c->b, "Exp", skv_g2(c->b, "Sub", x, skv_reduce_keep(c, c->node->outputs[0])));
    c->din[0] = skv_g2(c->b, "Mul", share, skv_reduce_keep(c, c->dout[0]));
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "last axis, far from zero",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 10000, 10000)}, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_EXPECT(2.3132616875182226, 10000.69314718056),
     CASE_OUT(2),
     .no_grad = true},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = 0.2, .hi = 2}, CASE_LIST(1, 0)), .n_out = 1, CASE_OUT(1, 3)},
};

const skv_op skv_op_reduce_log_sum_exp = {.name = "ReduceLogSumExp",
                                          .brief = "logarithm of the sum of exponentials over axes",
                                          SKV_REDUCE_OP,
                                          .since = 18,
                                          .import = skv_reduce_import_18,
                                          .run = run,
                                          .grad = grad,
                                          SKV_LIST(cases)};
