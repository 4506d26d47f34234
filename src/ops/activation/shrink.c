/* Shrink: y = x + bias where x < -lambd, x - bias where x > lambd, 0 between. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"bias", SKV_ATTR_FLOAT, SKV_OPTIONAL}, {"lambd", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static double value(double x, const double *p) { return x < -p[1] ? x + p[0] : x > p[1] ? x - p[0] : 0; }

/* Integers too: through double, truncated and saturated by the store. */
static skive_status run(const skv_eval *c) {
    const double params[] = {skv_attr_float(c->node, "bias", 0), skv_attr_float(c->node, "lambd", 0.5)};
    return skv_unary_run_with(c, value, params);
}

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    skive_value *x = c->node->inputs[0];
    skive_value *far =
        skv_g2(c->b, "Greater", skv_g1(c->b, "Abs", x), skv_g_scalar(c->b, x, skv_attr_float(c->node, "lambd", 0.5)));
    c->din[0] = skv_g3(c->b, "Where", far, c->dout[0], skv_g_scalar(c->b, x, 0));
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "hard",
     CASE_IN({CASE_F32(5), CASE_VALUES(-2, -1, 0, 1, 2)}),
     CASE_ATTRS(CASE_FLT("lambd", 1.5)),
     .n_out = 1,
     CASE_EXPECT(-2, 0, 0, 0, 2)},
    {.name = "soft",
     CASE_IN({CASE_F32(5), CASE_VALUES(-2, -1, 0, 1, 2)}),
     CASE_ATTRS(CASE_FLT("lambd", 1.5), CASE_FLT("bias", 1.5)),
     .n_out = 1,
     CASE_EXPECT(-0.5, 0, 0, 0, 0.5)},
};

const skv_op skv_op_shrink = {
    .name = "Shrink",
    .brief = "nothing near zero, moved towards zero elsewhere",
    SKV_UNARY_OP,
    .since = 9,
    SKV_LIST(attrs),
    .infer = skv_infer_unary_numeric,
    .run = run,
    .grad = grad,
    SKV_LIST(cases),
};
