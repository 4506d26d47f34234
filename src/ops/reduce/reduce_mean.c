/* ReduceMean: the mean over axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static double step(double sum, double x) { return sum + x; }
static double finish(double sum, double n) { return sum / n; }

static int64_t whole(int64_t sum, int64_t x) { return (int64_t)((uint64_t)sum + (uint64_t)x); }
static int64_t whole_finish(int64_t sum, int64_t n) { return n > 0 ? sum / n : 0; }

static skive_status run(const skv_eval *c) {
    static const skv_reducer r = {
        .start = 0, .step = step, .finish = finish, .whole = whole, .whole_finish = whole_finish};
    return skv_reduce_run(c, &r);
}

/* dy divided by the number of elements of a cell, which is the size of x over the size of y for any batch. */
static skive_status grad(skv_grad *c) {
    const skive_type *x = &c->node->inputs[0]->type;
    skv_builder *b = c->b;
    if (!c->need[0]) return SKIVE_OK;
    skive_value *ones = skv_emit(
        b, "Expand",
        SKV_IN(skv_emit_scalar(b, x->dtype, 1), skv_emit(b, "Shape", SKV_IN(c->node->inputs[0]), SKV_NONE)), SKV_NONE);
    skive_value *like = skv_reduce_keep(c, c->dout[0]);
    skive_value *count = skv_g2(b, "SumTo", ones, like);
    skive_value *shape = skv_emit(b, "Shape", SKV_IN(c->node->inputs[0]), SKV_NONE);
    c->din[0] = skv_emit(b, "Expand", SKV_IN(skv_g2(b, "Div", like, count), shape), SKV_NONE);
    return b->status;
}

static const skv_op_case cases[] = {
    {.name = "int64 truncates",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_I64(3), CASE_VALUES(1, 2, 2)}),
     .n_out = 1,
     CASE_EXPECT(1),
     .no_grad = true},
    {.name = "last axis",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_EXPECT(2, 5),
     CASE_OUT(2)},
    {.name = "all",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}),
     .n_out = 1,
     CASE_EXPECT(2.5)},
    {.name = "random", CASE_IN({CASE_F32(2, 3, 2)}, CASE_LIST(2, 1, 2)), .n_out = 1, CASE_OUT(2, 1, 1)},
};

const skv_op skv_op_reduce_mean = {.name = "ReduceMean",
                                   .brief = "mean over axes",
                                   SKV_REDUCE_OP,
                                   .since = 18,
                                   .import = skv_reduce_import_18,
                                   .run = run,
                                   .grad = grad,
                                   SKV_LIST(cases)};
