/* IsNaN: where x is not a number. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_unary_float(c));
    c->out[0].dtype = SKIVE_BOOL;
    return SKIVE_OK;
}

static double value(double x, const double *p) {
    (void)p;
    return isnan(x);
}

static skive_status run(const skv_eval *c) {
    const double params[] = {0};
    return skv_unary_run_with(c, value, params);
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 9, 13, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(NAN, 1, INFINITY)}),
     .n_out = 1,
     CASE_EXPECT(1, 0, 0),
     .no_grad = true},
};

const skv_op skv_op_is_nan = {
    .name = "IsNaN",
    .brief = "true where not a number",
    SKV_UNARY_OP,
    .since = 9,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    SKV_LIST(cases),
};
