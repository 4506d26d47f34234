/* LeakyReluGrad(dY, X): the gradient of LeakyRelu: dY where X >= 0, alpha * dY elsewhere. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static double value(double g, double x, const double *p) { return x < 0 ? p[0] * g : g; }

static skive_status run(const skv_eval *c) {
    double alpha = skv_attr_float(c->node, "alpha", 0.01);
    return skv_pair_run(c, value, &alpha);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(1, 2, 3)}, {CASE_F32(3), CASE_VALUES(-1, 5, 0)}),
     .n_out = 1,
     CASE_ATTRS(CASE_FLT("alpha", 0.5)),
     CASE_EXPECT(0.5, 2, 3),
     .no_grad = true},
};

const skv_op skv_op_leaky_relu_grad = {
    .name = "LeakyReluGrad",
    .brief = "gradient of LeakyRelu",
    SKV_PAIR_OP,
    SKV_LIST(attrs),
    .run = run,
    SKV_LIST(cases),
};
