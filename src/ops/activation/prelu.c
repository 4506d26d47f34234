/* PRelu: y = x where x >= 0, slope * x elsewhere; the slope broadcasts to x and may be trainable. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double real(double x, double slope) { return x < 0 ? slope * x : x; }
static int64_t integer(int64_t x, int64_t slope) { return x < 0 ? (int64_t)((uint64_t)slope * (uint64_t)x) : x; }

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    skive_type sum = {.dtype = SKIVE_DTYPE_NONE, .rank = -1};
    for (size_t i = 0; i < 2; i++) SKV_TRY(skv_infer_want_numeric(c, i));
    SKV_TRY(skv_infer_broadcast(c, 2, &sum));
    bool grows = sum.rank >= 0 && sum.rank != x->rank;
    for (int d = 0; !grows && d < sum.rank; d++) grows = x->dims[d].size >= 0 && x->dims[d].size != sum.dims[d].size;
    if (grows) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "the slope does not broadcast to the input");
    c->out[0] = *x;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    static const skv_binary op = {.f = real, .i = integer, .u = NULL};
    return skv_binary_run(c, &op);
}

static skive_status grad(skv_grad *c) {
    skive_value *x = c->node->inputs[0], *slope = c->node->inputs[1], *dy = c->dout[0];
    skive_value *zero = skv_g_scalar(c->b, x, 0);
    skive_value *negative = skv_g2(c->b, "Less", x, zero);
    if (c->need[0]) c->din[0] = skv_g3(c->b, "Where", negative, skv_g2(c->b, "Mul", dy, slope), dy);
    if (c->need[1]) {
        skive_value *all = skv_g3(c->b, "Where", negative, skv_g2(c->b, "Mul", dy, x), zero);
        c->din[1] = skv_grad_unbroadcast(c->b, all, slope);
    }
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 9, 16, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(-1, 2, -3, -4)}, {CASE_F32(2), CASE_VALUES(0.5, 0.25)}),
     .n_out = 1,
     CASE_EXPECT(-0.5, 2, -1.5, -1)},
    {.name = "random",
     CASE_IN({CASE_F32(2, 3, 2), .lo = -2, .hi = -0.1}, {CASE_F32(3, 1)}),
     .n_out = 1,
     CASE_OUT(2, 3, 2)},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_SCALE},
};

const skv_op skv_op_prelu = {
    .name = "PRelu",
    .brief = "x where positive, slope x elsewhere",
    SKV_BINARY_OP,
    .since = 9,
    .needs_opset = needs_opset,
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    SKV_LIST(cases),
};
