/* Pow: y = x ^ p, broadcasting. The exponent may have another type than the base; the result has the type of the base.
 * Integer powers wrap; with a negative integer exponent the result is truncated. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double real(double x, double p) { return p == 2 ? x * x : pow(x, p); }

static int64_t integer(int64_t x, int64_t p) {
    if (p < 0) return x == 1 ? 1 : x == -1 ? (p % 2 ? -1 : 1) : 0;
    uint64_t result = 1, base = (uint64_t)x;
    for (; p > 0; p >>= 1, base *= base)
        if (p & 1) result *= base;
    return (int64_t)result;
}

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < 2; i++) SKV_TRY(skv_infer_want_numeric(c, i));
    const skive_type *const both[] = {skv_infer_in(c, 0), skv_infer_in(c, 1)};
    c->out[0].dtype = both[0]->dtype;
    return skv_broadcast_types(c, both, 2, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *p = c->in[1], *y = c->out[0];
    bool whole = !skv_dtype_is_float(x->dtype) && !skv_dtype_is_float(p->dtype);
    skv_walk w;
    SKV_TRY(skv_walk_start(&w, c, y->rank, y->dims, c->in, 2));
    for (size_t i = 0; i < (size_t)w.count; i++, skv_walk_next(&w)) {
        if (whole) {
            int64_t v = integer(skv_load_bits(x->dtype, x->data, w.at[0]), skv_load_bits(p->dtype, p->data, w.at[1]));
            skv_store_wrap(y->dtype, y->data, i, v);
        } else {
            double v = real(skv_load_f64(x->dtype, x->data, w.at[0]), skv_load_f64(p->dtype, p->data, w.at[1]));
            skv_store_f64(y->dtype, y->data, i, skv_dtype_is_float(y->dtype) ? v : trunc(v));
        }
    }
    return SKIVE_OK;
}

/* A constant exponent with no element equal to 0 (for which p x^(p-1) at x = 0 would be 0 times infinity). */
static bool never_zero(const skive_node *n) {
    const skive_tensor *p = skv_node_constant(n, 1);
    int64_t count = p ? skive_tensor_count(p) : 0;
    for (int64_t i = 0; i < count; i++)
        if (skv_load_f64(p->dtype, p->data, (size_t)i) == 0) return false;
    return count > 0;
}

static skive_status grad(skv_grad *c) {
    skv_builder *b = c->b;
    skive_value *x = c->node->inputs[0], *p = c->node->inputs[1], *y = c->node->outputs[0];
    skive_value *power = p;
    if (p->type.dtype != x->type.dtype) power = skv_emit(b, "Cast", SKV_IN(p), SKV_ATTRS(SKV_INT("to", x->type.dtype)));
    skive_value *zero = skv_g_scalar(b, x, 0);
    if (c->need[0]) { /* p x^(p-1) */
        skive_value *less = skv_g2(b, "Sub", power, skv_g_scalar(b, x, 1));
        skive_value *slope = skv_g2(b, "Mul", power, skv_g2(b, "Pow", x, less));
        if (!never_zero(c->node)) slope = skv_g3(b, "Where", skv_g2(b, "Equal", power, zero), zero, slope);
        c->din[0] = skv_grad_unbroadcast(b, skv_g2(b, "Mul", c->dout[0], slope), x);
    }
    if (c->need[1] && skv_dtype_is_float(p->type.dtype)) { /* y ln x, zero where the logarithm does not exist */
        skive_value *one = skv_g_scalar(b, x, 1);
        skive_value *positive = skv_g2(b, "Greater", x, zero);
        skive_value *slope = skv_g2(b, "Mul", y, skv_g1(b, "Log", skv_g3(b, "Where", positive, x, one)));
        skive_value *dp = skv_g2(b, "Mul", c->dout[0], slope);
        if (p->type.dtype != x->type.dtype)
            dp = skv_emit(b, "Cast", SKV_IN(dp), SKV_ATTRS(SKV_INT("to", p->type.dtype)));
        c->din[1] = skv_grad_unbroadcast(b, dp, p);
    }
    return b->status;
}

static int needs_opset(const skive_node *n) {
    const skive_value *x = skv_node_in(n, 0), *p = skv_node_in(n, 1);
    bool mixed = x && p && x->type.dtype != p->type.dtype;
    return mixed ? 12 : skv_needs_for_dtype(n, 7, 13, 0);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, -2, 3, 4)}, {.dtype = SKIVE_F32, CASE_VALUES(3), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, -8, 27, 64)},
    {.name = "int64",
     CASE_IN({CASE_I64(3), CASE_VALUES(3, -2, 10)}, {CASE_I64(3), CASE_VALUES(4, 3, 0)}),
     .n_out = 1,
     CASE_EXPECT(81, -8, 1),
     .no_grad = true},
    {.name = "mixed types",
     CASE_IN({CASE_F32(2), CASE_VALUES(3, -2)}, {CASE_I64(1), CASE_VALUES(2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(9, 4)},
    {.name = "exponent 0 at 0",
     CASE_IN({CASE_F32(2), CASE_VALUES(0, 2)}, {CASE_F32(1), CASE_VALUES(0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, 1)},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = 0.5, .hi = 2}, {CASE_F32(2, 1)}), .n_out = 1, CASE_OUT(2, 3)},
};

const skv_op skv_op_pow = {
    .name = "Pow",
    .brief = "x to the power p",
    SKV_BINARY_OP,
    .since = 7,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    SKV_LIST(cases),
};
