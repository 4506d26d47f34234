/* ReduceL2: the Euclidean norm over axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static double step(double sum, double x) { return sum + x * x; }
static double finish(double sum, double n) {
    (void)n;
    return sqrt(sum);
}

static skive_status run(const skv_eval *c) {
    static const skv_reducer r = {.start = 0, .step = step, .finish = finish};
    return skv_reduce_run(c, &r);
}

static skive_status grad(skv_grad *c) {
    skive_value *x = c->node->inputs[0];
    if (!c->need[0]) return SKIVE_OK;
    /* at the origin, where there is no gradient, it is set to 0: x / 1 */
    skive_value *norm = skv_reduce_keep(c, c->node->outputs[0]);
    skive_value *zero = skv_g2(c->b, "Equal", norm, skv_g_scalar(c->b, x, 0));
    norm = skv_g3(c->b, "Where", zero, skv_g_scalar(c->b, x, 1), norm);
    skive_value *unit = skv_g2(c->b, "Div", x, norm);
    c->din[0] = skv_g2(c->b, "Mul", unit, skv_reduce_keep(c, c->dout[0]));
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "int32 is truncated",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_TYPED(SKIVE_I32, 3), CASE_VALUES(7, -7, 100)}, CASE_LIST(1, 0)),
     .n_out = 1,
     CASE_EXPECT(100),
     .no_grad = true},
    {.name = "last axis",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(3, 4, 5, 12)}, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_EXPECT(5, 13),
     CASE_OUT(2)},
    {.name = "random", CASE_IN({CASE_F32(2, 3)}, CASE_LIST(1, 0)), .n_out = 1, CASE_OUT(1, 3)},
};

const skv_op skv_op_reduce_l2 = {.name = "ReduceL2",
                                 .brief = "Euclidean norm over axes",
                                 SKV_REDUCE_OP_SUM,
                                 .since = 18,
                                 .import = skv_reduce_import_18,
                                 .run = run,
                                 .grad = grad,
                                 SKV_LIST(cases)};
