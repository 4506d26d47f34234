/* ThresholdedRelu: y = x where x > alpha, 0 elsewhere. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_attr_spec attrs[] = {{"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *x = c->node->inputs[0];
    skive_value *above = skv_g2(c->b, "Greater", x, skv_g_scalar(c->b, x, skv_attr_float(c->node, "alpha", 1)));
    c->din[0] = skv_g3(c->b, "Where", above, c->dout[0], skv_g_scalar(c->b, x, 0));
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 10, 22, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(-1, 0.5, 2)}),
     CASE_ATTRS(CASE_FLT("alpha", 0.75)),
     .n_out = 1,
     CASE_EXPECT(0, 0, 2)},
};

const skv_op skv_op_thresholded_relu = {
    .name = "ThresholdedRelu",
    .brief = "x where above alpha, 0 elsewhere",
    SKV_UNARY_OP,
    .since = 10,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    SKV_LIST(cases),
};
