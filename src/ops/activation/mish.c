/* Mish: y = x tanh(ln(1 + e^x)) (Misra, 2019). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *x = c->node->inputs[0];
    /* with t = tanh(softplus(x)): t + x (1 - t^2) sigmoid(x) */
    skive_value *t = skv_g1(c->b, "Tanh", skv_g1(c->b, "Softplus", x));
    skive_value *rest = skv_g2(c->b, "Sub", skv_g_scalar(c->b, x, 1), skv_g2(c->b, "Mul", t, t));
    rest = skv_g2(c->b, "Mul", rest, skv_g2(c->b, "Mul", x, skv_g1(c->b, "Sigmoid", x)));
    skive_value *slope = skv_g2(c->b, "Add", t, rest);
    c->din[0] = skv_g2(c->b, "Mul", c->dout[0], slope);
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 18, 22, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(0, 1, -3)}),
     .n_out = 1,
     CASE_EXPECT(0, 0.8650983882673103, -0.1456474612756246),
     .no_grad = true},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = -2, .hi = 2}), .n_out = 1},
};

const skv_op skv_op_mish = {
    .name = "Mish",
    .brief = "x tanh(softplus(x))",
    SKV_UNARY_OP,
    .since = 18,
    .needs_opset = needs_opset,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    SKV_LIST(cases),
};
