/* Log: y = ln x. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    c->din[0] = skv_g2(c->b, "Div", c->dout[0], c->node->inputs[0]);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(1, 2, 0.5)}),
     .n_out = 1,
     CASE_EXPECT(0, 0.6931471805599453, -0.6931471805599453)},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = 0.5, .hi = 3}), .n_out = 1},
};

const skv_op skv_op_log = {
    .name = "Log",
    .brief = "natural logarithm",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
