/* Round: y = the nearest whole number, ties to the even one. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(6), CASE_VALUES(0.5, 1.5, 2.5, -0.5, -1.5, 0.75)}),
     .n_out = 1,
     CASE_EXPECT(0, 2, 2, 0, -2, 1),
     .no_grad = true},
    {.name = "away from the steps",
     CASE_IN({CASE_F32(3), CASE_VALUES(0.3, 1.7, -0.8)}),
     .n_out = 1,
     CASE_EXPECT(0, 2, -1)},
};

const skv_op skv_op_round = {
    .name = "Round",
    .brief = "nearest whole number, ties to even",
    SKV_UNARY_OP,
    .since = 11,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = skv_grad_zero,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
