/* ReluGrad(dY, Y): the gradient of Relu from its output: dY where Y > 0, else 0. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double value(double g, double y, const double *p) {
    (void)p;
    return y > 0 ? g : 0;
}

static skive_status run(const skv_eval *c) { return skv_pair_run(c, value, NULL); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(4), CASE_VALUES(0, 5, 0, 1)}),
     .n_out = 1,
     CASE_EXPECT(0, 2, 0, 4),
     .no_grad = true},
};

const skv_op skv_op_relu_grad = {
    .name = "ReluGrad",
    .brief = "gradient of Relu",
    SKV_PAIR_OP,
    .run = run,
    SKV_LIST(cases),
};
