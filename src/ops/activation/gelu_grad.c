/* GeluGrad(dY, X): the gradient of Gelu in both its forms. */
#include "ops/common_elementwise.h"
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {{"approximate", SKV_ATTR_STRING, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_GELU, SKV_FORWARD_IN(1), 0));
    return skv_infer_pair(c);
}

static double value(double g, double x, const double *p) {
    (void)p;
    double bell = exp(-0.5 * x * x) * (0.5 * M_SQRT1_2 * M_2_SQRTPI); /* density of the normal distribution */
    return g * (0.5 * (1 + erf(x * M_SQRT1_2)) + x * bell);
}

static double value_tanh(double g, double x, const double *p) {
    (void)p;
    double root = M_SQRT2 * 0.5 * M_2_SQRTPI; /* sqrt(2 / pi) */
    double t = tanh(root * (x + 0.044715 * x * x * x));
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x));
}

static skive_status run(const skv_eval *c) {
    bool by_tanh = strcmp(skv_attr_string(c->node, "approximate", "none"), "tanh") == 0;
    return skv_pair_run(c, by_tanh ? value_tanh : value, NULL);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 2)}, {CASE_F32(2), CASE_VALUES(0, 1)}),
     .n_out = 1,
     CASE_EXPECT(0.5, 2.1666309411753726),
     .no_grad = true},
};

const skv_op skv_op_gelu_grad = {
    .name = "GeluGrad",
    .brief = "gradient of Gelu",
    SKV_PAIR_OP_BY(infer),
    SKV_LIST(attrs),
    .run = run,
    SKV_LIST(cases),
};
