/* ReduceLogSum: the logarithm of the sum over axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static double step(double sum, double x) { return sum + x; }
static double finish(double sum, double n) {
    (void)n;
    return log(sum);
}

static skive_status run(const skv_eval *c) {
    static const skv_reducer r = {.start = 0, .step = step, .finish = finish};
    return skv_reduce_run(c, &r);
}

static skive_status grad(skv_grad *c) {
    skive_value *x = c->node->inputs[0];
    if (!c->need[0]) return SKIVE_OK;
    skive_value *sum = skv_g1(c->b, "Exp", skv_reduce_keep(c, c->node->outputs[0]));
    c->din[0] =
        skv_g2(c->b, "Mul", skv_reduce_expand(c, c->dout[0]), skv_g2(c->b, "Div", skv_g_scalar(c->b, x, 1), sum));
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "last axis",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_EXPECT(1.0986122886681098, 1.9459101490553132),
     CASE_OUT(2)},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = 0.2, .hi = 2}, CASE_LIST(1, 0)), .n_out = 1, CASE_OUT(1, 3)},
};

const skv_op skv_op_reduce_log_sum = {.name = "ReduceLogSum",
                                      .brief = "logarithm of the sum over axes",
                                      SKV_REDUCE_OP_SUM,
                                      .since = 18,
                                      .import = skv_reduce_import_18,
                                      .run = run,
                                      .grad = grad,
                                      SKV_LIST(cases)};
