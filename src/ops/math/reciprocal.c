/* Reciprocal: y = 1 / x. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *y = c->node->outputs[0];
    c->din[0] = skv_g1(c->b, "Neg", skv_g2(c->b, "Mul", c->dout[0], skv_g2(c->b, "Mul", y, y)));
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand", CASE_IN({CASE_F32(3), CASE_VALUES(4, -0.25, 1)}), .n_out = 1, CASE_EXPECT(0.25, -4, 1)},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = 0.5, .hi = 2}), .n_out = 1},
};

const skv_op skv_op_reciprocal = {
    .name = "Reciprocal",
    .brief = "one divided by each element",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    SKV_LIST(cases),
};
