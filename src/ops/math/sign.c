/* Sign: y = -1 where x < 0, 0 where x = 0, 1 where x > 0. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double value(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static int64_t integer(int64_t x) { return (x > 0) - (x < 0); }

static skive_status run(const skv_eval *c) { return skv_unary_run_numeric(c, value, integer); }

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return skv_range_make(in[0].lo > 0 ? 1 : in[0].lo < 0 ? -1 : 0, in[0].hi > 0 ? 1 : in[0].hi < 0 ? -1 : 0);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(4, -0.25, 0)}),
     .n_out = 1,
     CASE_EXPECT(1, -1, 0),
     .no_grad = true},
    {.name = "int64",
     CASE_IN({CASE_I64(3), CASE_VALUES(7, -9, 0)}),
     .n_out = 1,
     CASE_EXPECT(1, -1, 0),
     .no_grad = true},
    {.name = "away from the steps",
     CASE_IN({CASE_F32(3), CASE_VALUES(4, -0.25, 0.5)}),
     .n_out = 1,
     CASE_EXPECT(1, -1, 1)},
};

const skv_op skv_op_sign = {
    .name = "Sign",
    .brief = "-1, 0 or 1 by the sign",
    SKV_UNARY_OP,
    .since = 9,
    .infer = skv_infer_unary_numeric,
    .run = run,
    .grad = skv_grad_zero,
    .range = range,
    SKV_LIST(cases),
};
