/* ReduceProd: the product over axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static double step(double product, double x) { return product * x; }
static int64_t whole(int64_t product, int64_t x) { return (int64_t)((uint64_t)product * (uint64_t)x); }

static skive_status run(const skv_eval *c) {
    static const skv_reducer r = {.start = 1, .step = step, .finish = NULL, .whole_start = 1, .whole = whole};
    return skv_reduce_run(c, &r);
}

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_g2(c->b, "ReduceProdGrad", skv_reduce_keep(c, c->dout[0]), c->node->inputs[0]);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "last axis",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 0.5)}, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_EXPECT(6, 10),
     CASE_OUT(2)},
    {.name = "a zero, all axes", CASE_IN({CASE_F32(2, 2), CASE_VALUES(2, 0, -3, 1.5)}), .n_out = 1, CASE_EXPECT(0)},
    {.name = "two axes",
     CASE_IN({CASE_F32(2, 3, 2), .lo = 0.5, .hi = 2}, CASE_LIST(2, 0, 2)),
     .n_out = 1,
     CASE_OUT(1, 3, 1)},
    {.name = "elements of a shape",
     CASE_ATTRS(CASE_INT("keepdims", 0)),
     CASE_IN({CASE_I64(3), CASE_VALUES(3, 224, 224)}),
     .n_out = 1,
     CASE_EXPECT(150528),
     .no_grad = true},
};

const skv_op skv_op_reduce_prod = {.name = "ReduceProd",
                                   .brief = "product over axes",
                                   SKV_REDUCE_OP,
                                   .since = 18,
                                   .import = skv_reduce_import_18,
                                   .run = run,
                                   .grad = grad,
                                   SKV_LIST(cases)};
