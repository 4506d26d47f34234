/* ReduceSumSquare: the sum of squares over axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static double step(double sum, double x) { return sum + x * x; }

static int64_t whole(int64_t sum, int64_t x) { return (int64_t)((uint64_t)sum + (uint64_t)x * (uint64_t)x); }

static skive_status run(const skv_eval *c) {
    static const skv_reducer r = {.start = 0, .step = step, .finish = NULL, .whole = whole};
    return skv_reduce_run(c, &r);
}

static skive_status grad(skv_grad *c) {
    skive_value *x = c->node->inputs[0];
    if (c->need[0])
        c->din[0] =
            skv_g2(c->b, "Mul", skv_g2(c->b, "Mul", x, skv_g_scalar(c->b, x, 2)), skv_reduce_keep(c, c->dout[0]));
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "int64 beyond 2^53",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_I64(3), CASE_VALUES(94906266, 1, 1)}),
     .n_out = 1,
     CASE_EXPECT(9007199326062758),
     .no_grad = true},
    {.name = "last axis",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, -4)}, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_EXPECT(5, 25),
     CASE_OUT(2)},
    {.name = "random", CASE_IN({CASE_F32(2, 3)}, CASE_LIST(1, 0)), .n_out = 1, CASE_OUT(1, 3)},
};

const skv_op skv_op_reduce_sum_square = {.name = "ReduceSumSquare",
                                         .brief = "sum of squares over axes",
                                         SKV_REDUCE_OP_SUM,
                                         .since = 18,
                                         .import = skv_reduce_import_18,
                                         .run = run,
                                         .grad = grad,
                                         SKV_LIST(cases)};
