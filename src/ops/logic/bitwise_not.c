/* BitwiseNot: every bit inverted. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_infer_want_integer(c, i));
    return skv_infer_broadcast(c, c->n_in, &c->out[0]);
}

static int64_t integer(int64_t x) { return ~x; }

static skive_status run(const skv_eval *c) { return skv_unary_run_numeric(c, NULL, integer); }

static const skv_op_case cases[] = {
    {.name = "by hand", CASE_IN({CASE_I64(2), CASE_VALUES(12, -1)}), .n_out = 1, CASE_EXPECT(-13, 0), .no_grad = true},
};

const skv_op skv_op_bitwise_not = {
    .name = "BitwiseNot",
    .brief = "every bit inverted",
    SKV_UNARY_OP,
    .since = 18,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    SKV_LIST(cases),
};
