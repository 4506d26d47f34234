/* HardSwishGrad(dY, X): the gradient of HardSwish: dY * (X/3 + 1/2) for -3 < X < 3, 0 below, dY above. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double value(double g, double x, const double *p) {
    (void)p;
    return x <= -3 ? 0 : x >= 3 ? g : g * (x / 3 + 0.5);
}

static skive_status run(const skv_eval *c) { return skv_pair_run(c, value, NULL); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(4), CASE_VALUES(-4, 0, 1.5, 4)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 3, 4),
     .no_grad = true},
};

const skv_op skv_op_hard_swish_grad = {
    .name = "HardSwishGrad",
    .brief = "gradient of HardSwish",
    SKV_PAIR_OP,
    .run = run,
    SKV_LIST(cases),
};
