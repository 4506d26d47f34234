/* Max: the largest of its inputs element by element, broadcasting; NaN propagates. The gradient goes to the first input
 * that has the largest value. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static double real(double a, double b) { return isnan(a) ? a : isnan(b) || b > a ? b : a; }
static int64_t integer(int64_t a, int64_t b) { return b > a ? b : a; }
static uint64_t natural(uint64_t a, uint64_t b) { return b > a ? b : a; }

static skive_status run(const skv_eval *c) {
    static const skv_binary op = {.f = real, .i = integer, .u = natural};
    return skv_variadic_run(c, &op);
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    skive_value *zero = skv_g_scalar(c->b, n->outputs[0], 0), *taken = NULL;
    for (uint32_t i = 0; i < n->n_inputs && c->b->status == SKIVE_OK; i++) {
        skive_value *mine = skv_g2(c->b, "Equal", n->inputs[i], n->outputs[0]);
        skive_value *here = taken ? skv_g2(c->b, "And", mine, skv_g1(c->b, "Not", taken)) : mine;
        if (c->need[i])
            c->din[i] = skv_grad_unbroadcast(c->b, skv_g3(c->b, "Where", here, c->dout[0], zero), n->inputs[i]);
        if (i + 1 < n->n_inputs) taken = taken ? skv_g2(c->b, "Or", taken, mine) : mine;
    }
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    skv_range r = in[0];
    for (uint32_t i = 1; i < n->n_inputs; i++) r = (skv_range){fmax(r.lo, in[i].lo), fmax(r.hi, in[i].hi)};
    return r;
}

static int needs_opset(const skive_node *n) {
    const skive_value *v = skv_node_in(n, 0);
    bool integers = v && v->type.dtype != SKIVE_DTYPE_NONE && !skv_dtype_is_float(v->type.dtype);
    return integers ? 12 : skv_needs_for_dtype(n, 8, 13, 0);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 5, -3, 2)}, {CASE_F32(4), CASE_VALUES(2, 4, -4, 3)}),
     .n_out = 1,
     CASE_EXPECT(2, 5, -3, 3)},
    {.name = "three",
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 5)}, {CASE_F32(2), CASE_VALUES(2, 4)}, {CASE_F32(1), CASE_VALUES(3)}),
     .n_out = 1,
     CASE_EXPECT(3, 5)},
    {.name = "one", CASE_IN({CASE_F32(2), CASE_VALUES(1, 5)}), .n_out = 1, CASE_EXPECT(1, 5)},
    {.name = "int64",
     CASE_IN({CASE_I64(2), CASE_VALUES(1, -5)}, {CASE_I64(1), CASE_VALUES(0)}),
     .n_out = 1,
     CASE_EXPECT(1, 0),
     .no_grad = true},
    {.name = "broadcast", CASE_IN({CASE_F32(2, 3)}, {CASE_F32(2, 1)}), .n_out = 1, CASE_OUT(2, 3)},
};

const skv_op skv_op_max = {
    .name = "Max",
    .domain = "",
    .brief = "largest of the inputs, element by element",
    .since = 8,
    .min_in = 1,
    .max_in = -1,
    .min_out = 1,
    .max_out = 1,
    .needs_opset = needs_opset,
    .infer = skv_infer_arith,
    .run = run,
    .grad = grad,
    .couple = skv_couple_elementwise,
    .range = range,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .pointwise = true,
};
