/* BitwiseXor: the bits of a ^ b, broadcasting. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_infer_want_integer(c, i));
    return skv_infer_broadcast(c, c->n_in, &c->out[0]);
}

static int64_t integer(int64_t a, int64_t b) { return a ^ b; }

static skive_status run(const skv_eval *c) {
    static const skv_binary op = {.f = NULL, .i = integer, .u = NULL};
    return skv_binary_run(c, &op);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_I64(2), CASE_VALUES(12, 5)}, {CASE_I64(2), CASE_VALUES(10, 3)}),
     .n_out = 1,
     CASE_EXPECT(6, 6),
     .no_grad = true},
};

const skv_op skv_op_bitwise_xor = {
    .name = "BitwiseXor",
    .brief = "bits of a ^ b",
    SKV_BINARY_OP,
    .since = 18,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    SKV_LIST(cases),
};
