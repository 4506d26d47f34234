/* LeakyRelu: y = x where x >= 0, alpha * x elsewhere. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_attr_spec attrs[] = {{"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    double alpha = skv_attr_float(c->node, "alpha", 0.01);
    c->din[0] =
        skv_emit(c->b, "LeakyReluGrad", SKV_IN(c->dout[0], c->node->inputs[0]), SKV_ATTRS(SKV_FLT("alpha", alpha)));
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 6, 16, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(4, -1, 0.5)}),
     .n_out = 1,
     CASE_ATTRS(CASE_FLT("alpha", 0.25)),
     CASE_EXPECT(4, -0.25, 0.5)},
    {.name = "default slope", CASE_IN({CASE_F32(2), CASE_VALUES(-100, 3)}), .n_out = 1, CASE_EXPECT(-1, 3)},
    {.name = "negative", CASE_IN({CASE_F32(2, 3), .lo = -2, .hi = -0.1}), .n_out = 1},
};

const skv_op skv_op_leaky_relu = {
    .name = "LeakyRelu",
    .brief = "x where positive, alpha x elsewhere",
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
