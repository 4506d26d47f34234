/* Exp: y = e^x. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    c->din[0] = skv_g2(c->b, "Mul", c->dout[0], c->node->outputs[0]);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(0, 1, -1)}),
     .n_out = 1,
     CASE_EXPECT(1, 2.718281828459045, 0.36787944117144233)},
    {.name = "random", CASE_IN({CASE_F32(2, 3)}), .n_out = 1},
};

const skv_op skv_op_exp = {
    .name = "Exp",
    .brief = "e to the power of each element",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
