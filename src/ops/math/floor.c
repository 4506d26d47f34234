/* Floor: y = the largest whole number not above x. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(1.5, -1.5, 2, -0.25)}),
     .n_out = 1,
     CASE_EXPECT(1, -2, 2, -1),
     .no_grad = true},
    {.name = "away from the steps",
     CASE_IN({CASE_F32(3), CASE_VALUES(1.5, -1.4, -0.25)}),
     .n_out = 1,
     CASE_EXPECT(1, -2, -1)},
};

const skv_op skv_op_floor = {
    .name = "Floor",
    .brief = "largest whole number not above",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = skv_grad_zero,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
