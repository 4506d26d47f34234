/* SwiGLU: y = a sigmoid(alpha a) b, a gated unit (Shazeer, 2020). No broadcasting. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_attr_spec attrs[] = {{"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *a = skv_infer_in(c, 0), *b = skv_infer_in(c, 1);
    SKV_TRY(skv_infer_want_float(c, 0));
    SKV_TRY(skv_infer_one_type(c, 0, 1));
    bool differ = a->rank >= 0 && b->rank >= 0 && a->rank != b->rank;
    for (int d = 0; !differ && a->rank == b->rank && d < a->rank; d++)
        differ = a->dims[d].size >= 0 && b->dims[d].size >= 0 && a->dims[d].size != b->dims[d].size;
    if (differ)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the gate and the value differ in shape", c->node->name);
    c->out[0] = a->rank >= 0 ? *a : *b;
    return SKIVE_OK;
}

static double value(double a, double b, const double *p) { return skv_pointwise_at(SKV_PW_SWISH)->value(a, p) * b; }

static skive_status run(const skv_eval *c) {
    const double p[2] = {skv_attr_float(c->node, "alpha", 1), 0};
    return skv_pair_run(c, value, p);
}

static skive_status grad(skv_grad *c) {
    skive_value *a = c->node->inputs[0], *b = c->node->inputs[1];
    const double alpha = skv_attr_float(c->node, "alpha", 1);
    skive_value *inside = skv_g2(c->b, "Mul", a, skv_g_scalar(c->b, a, alpha));
    skive_value *s = skv_g1(c->b, "Sigmoid", inside), *swish = skv_g2(c->b, "Mul", a, s);
    if (c->need[0]) {
        skive_value *rest = skv_g2(c->b, "Mul", swish, skv_g2(c->b, "Sub", skv_g_scalar(c->b, a, 1), s));
        rest = skv_g2(c->b, "Mul", rest, skv_g_scalar(c->b, a, alpha));
        c->din[0] = skv_g2(c->b, "Mul", skv_g2(c->b, "Mul", c->dout[0], b), skv_g2(c->b, "Add", s, rest));
    }
    if (c->need[1]) c->din[1] = skv_g2(c->b, "Mul", c->dout[0], swish);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(0, 1, -1)}, {CASE_F32(3), CASE_VALUES(5, 2, 3)}),
     .n_out = 1,
     CASE_EXPECT(0, 1.4621171572600098, -0.8068242641099854)},
    {.name = "alpha",
     CASE_IN({CASE_F32(2, 3), .lo = -3, .hi = 3}, {CASE_F32(2, 3)}),
     .n_out = 1,
     CASE_ATTRS(CASE_FLT("alpha", 0.7))},
};

const skv_op skv_op_swi_glu = {
    .name = "SwiGLU",
    .brief = "a sigmoid(alpha a) b",
    SKV_BINARY_OP,
    .since = 28,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    SKV_LIST(cases),
};
