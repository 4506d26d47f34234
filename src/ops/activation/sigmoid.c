/* Sigmoid: y = 1 / (1 + e^-x). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *y = c->node->outputs[0];
    skive_value *slope = skv_g2(c->b, "Mul", y, skv_g2(c->b, "Sub", skv_g_scalar(c->b, y, 1), y));
    c->din[0] = skv_g2(c->b, "Mul", c->dout[0], slope);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(0, 1, -1, -1000)}),
     .n_out = 1,
     CASE_EXPECT(0.5, 0.7310585786300049, 0.2689414213699951, 0)},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = -3, .hi = 3}), .n_out = 1},
};

const skv_op skv_op_sigmoid = {
    .name = "Sigmoid",
    .brief = "1 / (1 + e^-x)",
    SKV_UNARY_OP,
    .since = 6,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = skv_pointwise_range,
    SKV_LIST(cases),
};
