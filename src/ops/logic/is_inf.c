/* IsInf: where x is infinite, with the selected signs. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"detect_negative", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"detect_positive", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_unary_float(c));
    c->out[0].dtype = SKIVE_BOOL;
    return SKIVE_OK;
}

static double value(double x, const double *p) { return isinf(x) && p[x > 0] != 0; }

static skive_status run(const skv_eval *c) {
    const double params[] = {(double)skv_attr_int(c->node, "detect_negative", 1),
                             (double)skv_attr_int(c->node, "detect_positive", 1)};
    return skv_unary_run_with(c, value, params);
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 10, 20, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(NAN, 1, INFINITY, -INFINITY)}),
     .n_out = 1,
     CASE_EXPECT(0, 0, 1, 1),
     .no_grad = true},
    {.name = "positive only",
     CASE_IN({CASE_F32(2), CASE_VALUES(INFINITY, -INFINITY)}),
     CASE_ATTRS(CASE_INT("detect_negative", 0)),
     .n_out = 1,
     CASE_EXPECT(1, 0),
     .no_grad = true},
};

const skv_op skv_op_is_inf = {
    .name = "IsInf",
    .brief = "true where infinite",
    SKV_UNARY_OP,
    .since = 10,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    SKV_LIST(cases),
};
