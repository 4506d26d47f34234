/* Celu: y = max(0, x) + min(0, alpha (e^(x / alpha) - 1)) (Barron, 2017). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_attr_spec attrs[] = {{"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *x = c->node->inputs[0];
    const double alpha = skv_attr_float(c->node, "alpha", 1);
    skive_value *slope = skv_g1(c->b, "Exp", skv_g2(c->b, "Div", x, skv_g_scalar(c->b, x, alpha)));
    skive_value *positive = skv_g2(c->b, "Greater", x, skv_g_scalar(c->b, x, 0));
    c->din[0] = skv_g3(c->b, "Where", positive, c->dout[0], skv_g2(c->b, "Mul", c->dout[0], slope));
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 12, 0, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(-1, 0.5, 2)}),
     CASE_ATTRS(CASE_FLT("alpha", 2)),
     .n_out = 1,
     CASE_EXPECT(-0.7869386805747332, 0.5, 2)},
    {.name = "both sides", CASE_IN({CASE_F32(4), CASE_VALUES(-1.5, -0.25, 0.75, 2)}), .n_out = 1},
};

const skv_op skv_op_celu = {
    .name = "Celu",
    .brief = "continuously differentiable exponential linear unit",
    SKV_UNARY_OP,
    .since = 12,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    SKV_LIST(cases),
};
