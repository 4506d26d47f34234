/* Not: logical negation. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_want(c, 0, SKIVE_BOOL));
    SKV_TRY(skv_infer_same(c));
    c->out[0].dtype = SKIVE_BOOL;
    return SKIVE_OK;
}

static int64_t integer(int64_t x) { return x == 0; }

static skive_status run(const skv_eval *c) { return skv_unary_run_numeric(c, NULL, integer); }

static const skv_op_case cases[] = {
    {.name = "by hand", CASE_IN({CASE_BOOL(2), CASE_VALUES(1, 0)}), .n_out = 1, CASE_EXPECT(0, 1), .no_grad = true},
};

const skv_op skv_op_not = {
    .name = "Not",
    .brief = "logical negation",
    SKV_UNARY_OP,
    .since = 1,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    SKV_LIST(cases),
};
