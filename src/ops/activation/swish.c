/* Swish: y = x sigmoid(alpha x) (Ramachandran, Zoph & Le, 2017); SiLU with alpha = 1 (Elfwing et al., 2018). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_attr_spec attrs[] = {{"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

/* With s = sigmoid(alpha x): s + alpha y (1 - s). */
static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *x = c->node->inputs[0], *y = c->node->outputs[0];
    const double alpha = skv_attr_float(c->node, "alpha", 1);
    skive_value *inside = alpha == 1 ? x : skv_g2(c->b, "Mul", x, skv_g_scalar(c->b, x, alpha));
    skive_value *s = skv_g1(c->b, "Sigmoid", inside);
    skive_value *rest = skv_g2(c->b, "Mul", y, skv_g2(c->b, "Sub", skv_g_scalar(c->b, x, 1), s));
    if (alpha != 1) rest = skv_g2(c->b, "Mul", rest, skv_g_scalar(c->b, x, alpha));
    c->din[0] = skv_g2(c->b, "Mul", c->dout[0], skv_g2(c->b, "Add", s, rest));
    return c->b->status;
}

/* With u = alpha x the function is u sigmoid(u) / alpha, whose least value is -0.27846 / alpha, and which stays below
 * max(x, 0). A negative alpha turns the curve round: it lies between min(x, 0) and 0.27846 / -alpha. */
static skv_range range(const skive_node *n, const skv_range *in) {
    const double alpha = skv_attr_float(n, "alpha", 1), extreme = 0.27847 / alpha;
    if (alpha > 0) return skv_range_make(-extreme, in[0].hi > 0 ? in[0].hi : 0);
    if (alpha < 0) return skv_range_make(in[0].lo < 0 ? in[0].lo : 0, -extreme);
    return skv_range_make(in[0].lo / 2, in[0].hi / 2);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(0, 1, -1, 3)}),
     .n_out = 1,
     CASE_EXPECT(0, 0.7310585786300049, -0.2689414213699951, 2.8577223804673)},
    {.name = "alpha",
     CASE_IN({CASE_F32(3), CASE_VALUES(0.5, -0.5, 2)}),
     .n_out = 1,
     CASE_ATTRS(CASE_FLT("alpha", 2)),
     CASE_EXPECT(0.36552928931500245, -0.13447071068499755, 1.9640275800758169)},
    {.name = "negative alpha",
     CASE_IN({CASE_F32(2, 3), .lo = -3, .hi = 3}),
     .n_out = 1,
     CASE_ATTRS(CASE_FLT("alpha", -1.5))},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = -4, .hi = 4}), .n_out = 1},
};

const skv_op skv_op_swish = {
    .name = "Swish",
    .brief = "x sigmoid(alpha x)",
    SKV_UNARY_OP,
    .since = 24,
    SKV_LIST(attrs),
    .infer = skv_infer_unary_float,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = range,
    SKV_LIST(cases),
};
