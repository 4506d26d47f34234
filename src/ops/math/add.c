/* Add: y = a + b, broadcasting. Integers wrap. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double real(double a, double b) { return a + b; }
static int64_t integer(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

static skive_status run(const skv_eval *c) {
    static const skv_binary op = {.f = real, .i = integer, .u = NULL};
    return skv_binary_run(c, &op);
}

static skive_status grad(skv_grad *c) {
    skive_value *a = c->node->inputs[0], *b = c->node->inputs[1], *dy = c->dout[0];
    if (c->need[0]) c->din[0] = skv_grad_unbroadcast(c->b, dy, a);
    if (c->need[1]) c->din[1] = skv_grad_unbroadcast(c->b, dy, b);
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return skv_range_make(in[0].lo + in[1].lo, in[0].hi + in[1].hi);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(2), CASE_VALUES(10, 20)}),
     .n_out = 1,
     CASE_EXPECT(11, 22, 13, 24),
     CASE_OUT(2, 2)},
    {.name = "int64 beyond 2^53",
     CASE_IN({CASE_I64(1), CASE_VALUES(9007199254740992)}, {CASE_I64(1), CASE_VALUES(2)}),
     .n_out = 1,
     CASE_EXPECT(9007199254740994),
     .no_grad = true},
    {.name = "uint8 wraps",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1), CASE_VALUES(250)}, {CASE_TYPED(SKIVE_U8, 1), CASE_VALUES(10)}),
     .n_out = 1,
     CASE_EXPECT(4),
     .no_grad = true},
    {.name = "random", CASE_IN({CASE_F32(2, 3)}, {CASE_F32(2, 3)}), .n_out = 1, CASE_OUT(2, 3)},
    {.name = "broadcast right", CASE_IN({CASE_F32(2, 3, 2)}, {CASE_F32(3, 1)}), .n_out = 1, CASE_OUT(2, 3, 2)},
    {.name = "broadcast both", CASE_IN({CASE_F32(2, 1, 3)}, {CASE_F32(4, 1)}), .n_out = 1, CASE_OUT(2, 4, 3)},
    {.name = "empty", CASE_IN({CASE_F32(0, 3)}, {CASE_F32(3)}), .n_out = 1, CASE_OUT(0, 3), .no_grad = true},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_BIAS, .either = true},
    {.role = SKV_ROLE_BIAS, .either = true},
};

const skv_op skv_op_add = {
    .name = "Add",
    .brief = "a + b",
    SKV_BINARY_OP,
    .since = 7,
    .needs_opset = skv_needs_arith,
    SKV_LIST(inputs),
    .infer = skv_infer_arith,
    .run = run,
    .grad = grad,
    .range = range,
    SKV_LIST(cases),
    .integer_form = "QAdd",
};
