/* Sin: y = sin x. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *x = c->node->inputs[0];
    skive_value *slope = skv_g1(c->b, "Cos", x);
    c->din[0] = skv_g2(c->b, "Mul", c->dout[0], slope);
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 7, 22, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(0, 1, -2)}),
     .n_out = 1,
     CASE_EXPECT(0, 0.8414709848078965, -0.9092974268256817),
     .no_grad = true},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = -2, .hi = 2}), .n_out = 1},
};

const skv_op skv_op_sin = {
    .name = "Sin",
    .brief = "sine",
    SKV_UNARY_OP,
    .since = 7,
    .needs_opset = needs_opset,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
