/* Mod: the remainder of a / b, broadcasting: with the sign of b, or (fmod = 1) with the sign of a, as C's fmod. A
 * division by zero gives 0 for integers and NaN for floats. The gradient is that of a - b * floor(a / b), or of
 * a - b * trunc(a / b). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"fmod", SKV_ATTR_INT, SKV_OPTIONAL}};

/* Python's: zero has the sign of b, and a finite a with an infinite b of the other sign gives b. */
static double floored_real(double a, double b) {
    const double r = fmod(a, b);
    if (r == 0) return copysign(0, b);
    return (r < 0) != (b < 0) ? r + b : r;
}

static int64_t truncated(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
static int64_t floored(int64_t a, int64_t b) {
    const int64_t r = truncated(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static uint64_t natural(uint64_t a, uint64_t b) { return b == 0 ? 0 : a % b; }

static skive_status run(const skv_eval *c) {
    static const skv_binary like_c = {.f = fmod, .i = truncated, .u = natural},
                            like_python = {.f = floored_real, .i = floored, .u = natural};
    return skv_binary_run(c, skv_attr_int(c->node, "fmod", 0) ? &like_c : &like_python);
}

static skive_status grad(skv_grad *c) {
    skive_value *a = c->node->inputs[0], *b = c->node->inputs[1], *y = c->node->outputs[0];
    if (c->need[0]) c->din[0] = skv_grad_unbroadcast(c->b, c->dout[0], a);
    if (c->need[1]) {
        /* trunc(a / b) or floor(a / b) = (a - y) / b */
        skive_value *times = skv_g2(c->b, "Div", skv_g2(c->b, "Sub", y, a), b);
        c->din[1] = skv_grad_unbroadcast(c->b, skv_g2(c->b, "Mul", c->dout[0], times), b);
    }
    return c->b->status;
}

static int needs_opset(const skive_node *n) {
    const bool real = n->n_inputs && n->inputs[0] && skv_dtype_is_float(n->inputs[0]->type.dtype);
    return real && !skv_attr_int(n, "fmod", 0) ? 28 : skv_needs_for_dtype(n, 10, 13, 0);
}

static const skv_op_case cases[] = {
    {.name = "integers, sign of b",
     CASE_IN({CASE_I64(6), CASE_VALUES(-4, 7, 5, 4, -7, 8)}, {CASE_I64(6), CASE_VALUES(2, -3, 8, -2, 3, 5)}),
     .n_out = 1,
     CASE_EXPECT(0, -2, 5, 0, 2, 3),
     .no_grad = true},
    {.name = "integers, sign of a",
     CASE_IN({CASE_I64(6), CASE_VALUES(-4, 7, 5, 4, -7, 8)}, {CASE_I64(6), CASE_VALUES(2, -3, 8, -2, 3, 5)}),
     CASE_ATTRS(CASE_INT("fmod", 1)),
     .n_out = 1,
     CASE_EXPECT(0, 1, 5, 0, -1, 3),
     .no_grad = true},
    {.name = "floats",
     CASE_IN({CASE_F32(3), CASE_VALUES(-4.25, 7.5, 5)}, {CASE_F32(3), CASE_VALUES(2, -3, 8)}),
     CASE_ATTRS(CASE_INT("fmod", 1)),
     .n_out = 1,
     CASE_EXPECT(-0.25, 1.5, 5)},
    {.name = "floats, sign of b",
     CASE_IN({CASE_F32(4), CASE_VALUES(-4.25, 7.5, 5, -1)}, {CASE_F32(4), CASE_VALUES(2, -3, 8, 0.75)}),
     .n_out = 1,
     CASE_EXPECT(1.75, -1.5, 5, 0.5)},
};

const skv_op skv_op_mod = {
    .name = "Mod",
    .brief = "remainder of a division",
    SKV_BINARY_OP,
    .since = 10,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = skv_infer_arith,
    .run = run,
    .grad = grad,
    SKV_LIST(cases),
};
