/* Relu: y = max(x, 0). NaN stays NaN. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static double value(double x) { return x < 0 ? 0 : x; }
static int64_t integer(int64_t x) { return x < 0 ? 0 : x; }

static skive_status run(const skv_eval *c) { return skv_unary_run_numeric(c, value, integer); }

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    c->din[0] = skv_g2(c->b, "ReluGrad", c->dout[0], c->node->outputs[0]);
    return c->b->status;
}

/* integers came with opset 14 */
static int needs_opset(const skive_node *n) {
    const skive_value *x = skv_node_in(n, 0);
    bool integer_type = x && x->type.dtype != SKIVE_DTYPE_NONE && !skv_dtype_is_float(x->type.dtype);
    return integer_type ? 14 : skv_needs_for_dtype(n, 6, 13, 0);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(4, -0.25, 0)}),
     .n_out = 1,
     CASE_EXPECT(4, 0, 0),
     .no_grad = true},
    {.name = "int64", CASE_IN({CASE_I64(2), CASE_VALUES(7, -9)}), .n_out = 1, CASE_EXPECT(7, 0), .no_grad = true},
    {.name = "positive", CASE_IN({CASE_F32(2, 3), .lo = 0.1, .hi = 1}), .n_out = 1},
    {.name = "both sides",
     CASE_IN({CASE_F32(4), CASE_VALUES(0.5, -0.5, 2, -3)}),
     .n_out = 1,
     CASE_EXPECT(0.5, 0, 2, 0)},
};

const skv_op skv_op_relu = {
    .name = "Relu",
    .brief = "max(x, 0)",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_numeric,
    .run = run,
    .grad = grad,
    .range = skv_pointwise_range,
    .needs_opset = needs_opset,
    SKV_LIST(cases),
};
