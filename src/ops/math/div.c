/* Div: y = a / b, broadcasting. Integers truncate towards zero; an integer divisor of zero is an error. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double real(double a, double b) { return a / b; }
static int64_t integer(int64_t a, int64_t b) { return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b; }
static uint64_t natural(uint64_t a, uint64_t b) { return a / b; }

static skive_status run(const skv_eval *c) {
    static const skv_binary op = {.f = real, .i = integer, .u = natural};
    const skive_tensor *by = c->in[1];
    size_t n = skv_dtype_is_float(by->dtype) ? 0 : (size_t)skive_tensor_count(by);
    for (size_t i = 0; i < n; i++)
        if (skv_load_bits(by->dtype, by->data, i) == 0)
            return skv_fail_at(c->ctx, SKIVE_ERR_NUMERIC, c->node->name, "an integer is divided by zero");
    return skv_binary_run(c, &op);
}

static skive_status grad(skv_grad *c) {
    skive_value *a = c->node->inputs[0], *b = c->node->inputs[1], *dy = c->dout[0];
    skive_value *y = c->node->outputs[0];
    if (c->need[0]) c->din[0] = skv_grad_unbroadcast(c->b, skv_g2(c->b, "Div", dy, b), a);
    if (c->need[1]) {
        skive_value *slope = skv_g1(c->b, "Neg", skv_g2(c->b, "Div", y, b));
        c->din[1] = skv_grad_unbroadcast(c->b, skv_g2(c->b, "Mul", dy, slope), b);
    }
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(2), CASE_VALUES(2, 4)}),
     .n_out = 1,
     CASE_EXPECT(0.5, 0.5, 1.5, 1)},
    {.name = "int64 truncates",
     CASE_IN({CASE_I64(2), CASE_VALUES(7, -7)}, {.dtype = SKIVE_I64, CASE_VALUES(2)}),
     .n_out = 1,
     CASE_EXPECT(3, -3),
     .no_grad = true},
    {.name = "random", CASE_IN({CASE_F32(2, 3)}, {CASE_F32(2, 3), .lo = 0.5, .hi = 2}), .n_out = 1, CASE_OUT(2, 3)},
    {.name = "broadcast right",
     CASE_IN({CASE_F32(2, 3, 2)}, {CASE_F32(3, 1), .lo = 0.5, .hi = 2}),
     .n_out = 1,
     CASE_OUT(2, 3, 2)},
    {.name = "broadcast both",
     CASE_IN({CASE_F32(2, 1, 3)}, {CASE_F32(4, 1), .lo = 0.5, .hi = 2}),
     .n_out = 1,
     CASE_OUT(2, 4, 3)},
    {.name = "empty",
     CASE_IN({CASE_F32(0, 3)}, {CASE_F32(3), .lo = 0.5, .hi = 2}),
     .n_out = 1,
     CASE_OUT(0, 3),
     .no_grad = true},
};

const skv_op skv_op_div = {
    .name = "Div",
    .brief = "a / b",
    SKV_BINARY_OP,
    .since = 7,
    .needs_opset = skv_needs_arith,
    .infer = skv_infer_arith,
    .run = run,
    .grad = grad,
    SKV_LIST(cases),
};
