/* HardSwish: y = x * max(0, min(1, x/6 + 1/2)) (Howard et al., ICCV 2019). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    c->din[0] = skv_g2(c->b, "HardSwishGrad", c->dout[0], c->node->inputs[0]);
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    /* falls to -3/8 at x = -3/2 and rises again */
    return skv_range_make(
        -0.375, in[0].hi > 0 ? skv_pointwise_at(SKV_PW_HARD_SWISH)->value(in[0].hi, (const double[2]){0}) : 0);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(5), CASE_VALUES(0, 1, -1, 4, -4)}),
     .n_out = 1,
     CASE_EXPECT(0, 0.6666666666666666, -0.3333333333333333, 4, 0)},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = -2.5, .hi = 2.5}), .n_out = 1},
};

const skv_op skv_op_hard_swish = {
    .name = "HardSwish",
    .brief = "x max(0, min(1, x/6 + 1/2))",
    SKV_UNARY_OP,
    .since = 14,
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = range,
    SKV_LIST(cases),
};
