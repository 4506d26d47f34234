/* Neg: y = -x. The smallest integer wraps to itself. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static double value(double x) { return -x; }
static int64_t integer(int64_t x) { return (int64_t)(0 - (uint64_t)x); }

static skive_status run(const skv_eval *c) { return skv_unary_run_numeric(c, value, integer); }

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    c->din[0] = skv_g1(c->b, "Neg", c->dout[0]);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand", CASE_IN({CASE_F32(3), CASE_VALUES(4, -0.25, 0)}), .n_out = 1, CASE_EXPECT(-4, 0.25, 0)},
    {.name = "int64", CASE_IN({CASE_I64(2), CASE_VALUES(7, -9)}), .n_out = 1, CASE_EXPECT(-7, 9), .no_grad = true},
    {.name = "random", CASE_IN({CASE_F32(2, 3)}), .n_out = 1},
};

const skv_op skv_op_neg = {
    .name = "Neg",
    .brief = "changes the sign",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_numeric,
    .run = run,
    .grad = grad,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
