/* ReduceSum: the sum over axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static double step(double sum, double x) { return sum + x; }

static int64_t whole(int64_t sum, int64_t x) { return (int64_t)((uint64_t)sum + (uint64_t)x); }

static skive_status run(const skv_eval *c) {
    static const skv_reducer r = {.start = 0, .step = step, .finish = NULL, .whole = whole};
    return skv_reduce_run(c, &r);
}

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_reduce_expand(c, c->dout[0]);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "int64 beyond 2^53",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_I64(3), CASE_VALUES(9007199254740992, 1, 1)}),
     .n_out = 1,
     CASE_EXPECT(9007199254740994),
     .no_grad = true},
    {.name = "last axis",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_EXPECT(6, 15),
     CASE_OUT(2)},
    {.name = "kept",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(1, 0)),
     .n_out = 1,
     CASE_EXPECT(5, 7, 9),
     CASE_OUT(1, 3)},
    {.name = "all",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}),
     .n_out = 1,
     CASE_EXPECT(10)},
    {.name = "nothing to do",
     CASE_ATTRS(CASE_INT("noop_with_empty_axes", 1)),
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 2)}),
     .n_out = 1,
     CASE_EXPECT(1, 2)},
    {.name = "random",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 3, 2)}, CASE_LIST(2, 0, 2)),
     .n_out = 1,
     CASE_OUT(3)},
};

const skv_op skv_op_reduce_sum = {.name = "ReduceSum",
                                  .brief = "sum over axes",
                                  SKV_REDUCE_OP_SUM,
                                  .since = 13,
                                  .import = skv_reduce_import_13,
                                  .run = run,
                                  .grad = grad,
                                  SKV_LIST(cases)};
