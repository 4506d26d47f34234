/* ReduceMin: the smallest element over axes. Its gradient goes to the first smallest of each cell. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static double step(double best, double x) { return x < best || isnan(x) ? x : best; }

static int64_t whole(int64_t best, int64_t x) { return x < best ? x : best; }

static skive_status run(const skv_eval *c) {
    static const skv_reducer r = {
        .start = INFINITY, .step = step, .finish = NULL, .whole_start = INT64_MAX, .whole = whole, .ordered = true};
    return skv_reduce_run(c, &r);
}

static skive_status grad(skv_grad *c) {
    skv_builder *b = c->b;
    if (!c->need[0]) return SKIVE_OK;
    c->din[0] = skv_g3(b, "ReduceExtremeGrad", skv_reduce_keep(c, c->dout[0]), c->node->inputs[0],
                       skv_reduce_keep(c, c->node->outputs[0]));
    return b->status;
}

static const skv_op_case cases[] = {
    {.name = "bool",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_BOOL(3, 2), CASE_VALUES(1, 0, 0, 0, 1, 1)}, CASE_LIST(1, 1)),
     .n_out = 1,
     CASE_EXPECT(0, 0, 1),
     .no_grad = true},
    {.name = "int64 beyond 2^53",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_I64(3), CASE_VALUES(9007199254740994, 9007199254740992, 9007199254740996)}),
     .n_out = 1,
     CASE_EXPECT(9007199254740992),
     .no_grad = true},
    {.name = "last axis",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 5, 3, 4, 2, 4.5)}, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_EXPECT(1, 2),
     CASE_OUT(2)},
    {.name = "random", CASE_IN({CASE_F32(2, 3, 2)}, CASE_LIST(1, 1)), .n_out = 1, CASE_OUT(2, 1, 2)},
};

const skv_op skv_op_reduce_min = {.name = "ReduceMin",
                                  .brief = "smallest element over axes",
                                  SKV_REDUCE_OP_ORDERED,
                                  .since = 18,
                                  .import = skv_reduce_import_18,
                                  .run = run,
                                  .grad = grad,
                                  SKV_LIST(cases)};
