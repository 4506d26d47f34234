/* HardSigmoid: y = max(0, min(1, alpha * x + beta)). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_attr_spec attrs[] = {{"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL}, {"beta", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *y = c->node->outputs[0];
    skive_value *zero = skv_g_scalar(c->b, y, 0);
    skive_value *inside =
        skv_g2(c->b, "And", skv_g2(c->b, "Greater", y, zero), skv_g2(c->b, "Less", y, skv_g_scalar(c->b, y, 1)));
    skive_value *alpha = skv_g_scalar(c->b, y, skv_attr_float(c->node, "alpha", 0.2));
    c->din[0] = skv_g3(c->b, "Where", inside, skv_g2(c->b, "Mul", c->dout[0], alpha), zero);
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 6, 22, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(0, 1, -5, 5)}),
     .n_out = 1,
     CASE_EXPECT(0.5, 0.7, 0, 1),
     .no_grad = true},
    {.name = "mobilenet",
     CASE_IN({CASE_F32(3), CASE_VALUES(0, 1.5, -5)}),
     .n_out = 1,
     CASE_ATTRS(CASE_FLT("alpha", 0.25), CASE_FLT("beta", 0.5)),
     CASE_EXPECT(0.5, 0.875, 0)},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = -2, .hi = 2}), .n_out = 1},
};

const skv_op skv_op_hard_sigmoid = {
    .name = "HardSigmoid",
    .brief = "max(0, min(1, alpha x + beta))",
    SKV_UNARY_OP,
    .since = 6,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
