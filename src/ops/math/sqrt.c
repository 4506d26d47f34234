/* Sqrt: y = the square root of x. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *half = skv_g2(c->b, "Mul", c->dout[0], skv_g_scalar(c->b, c->node->inputs[0], 0.5));
    c->din[0] = skv_g2(c->b, "Div", half, c->node->outputs[0]);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(4, 0.25, 0)}),
     .n_out = 1,
     CASE_EXPECT(2, 0.5, 0),
     .no_grad = true},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = 0.5, .hi = 3}), .n_out = 1},
};

const skv_op skv_op_sqrt = {
    .name = "Sqrt",
    .brief = "square root",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
