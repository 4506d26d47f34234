/* Abs: y = |x|. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double value(double x) { return fabs(x); }
static int64_t integer(int64_t x) { return x < 0 ? (int64_t)(0 - (uint64_t)x) : x; }

static skive_status run(const skv_eval *c) {
    if (!skv_dtype_is_signed(c->in[0]->dtype)) return skv_run_copy(c);
    return skv_unary_run_numeric(c, value, integer);
}

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    c->din[0] = skv_g2(c->b, "Mul", c->dout[0], skv_g1(c->b, "Sign", c->node->inputs[0]));
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    double a = fabs(in[0].lo), b = fabs(in[0].hi);
    return skv_range_make(in[0].lo <= 0 && in[0].hi >= 0 ? 0 : fmin(a, b), fmax(a, b));
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(4, -0.25, 0)}),
     .n_out = 1,
     CASE_EXPECT(4, 0.25, 0),
     .no_grad = true},
    {.name = "int64", CASE_IN({CASE_I64(2), CASE_VALUES(7, -9)}), .n_out = 1, CASE_EXPECT(7, 9), .no_grad = true},
    {.name = "positive", CASE_IN({CASE_F32(2, 3), .lo = 0.1, .hi = 1}), .n_out = 1},
    {.name = "negative", CASE_IN({CASE_F32(2, 3), .lo = -1, .hi = -0.1}), .n_out = 1},
};

const skv_op skv_op_abs = {
    .name = "Abs",
    .brief = "absolute value",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_numeric,
    .run = run,
    .grad = grad,
    .range = range,
    SKV_LIST(cases),
};
