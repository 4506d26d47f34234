/* Elu: y = x where x >= 0, alpha * (e^x - 1) elsewhere. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_attr_spec attrs[] = {{"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *x = c->node->inputs[0], *y = c->node->outputs[0];
    skive_value *slope = skv_g2(c->b, "Add", y, skv_g_scalar(c->b, y, skv_attr_float(c->node, "alpha", 1)));
    skive_value *negative = skv_g2(c->b, "Less", x, skv_g_scalar(c->b, x, 0));
    c->din[0] = skv_g3(c->b, "Where", negative, skv_g2(c->b, "Mul", c->dout[0], slope), c->dout[0]);
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 6, 22, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(4, -1, 0.5)}),
     .n_out = 1,
     CASE_ATTRS(CASE_FLT("alpha", 2)),
     CASE_EXPECT(4, -1.2642411176571153, 0.5)},
    {.name = "negative", CASE_IN({CASE_F32(2, 3), .lo = -2, .hi = -0.1}), .n_out = 1},
    {.name = "positive", CASE_IN({CASE_F32(2, 3), .lo = 0.1, .hi = 2}), .n_out = 1},
};

const skv_op skv_op_elu = {
    .name = "Elu",
    .brief = "x where positive, alpha (e^x - 1) elsewhere",
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
