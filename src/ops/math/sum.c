/* Sum: the sum of all inputs element by element, broadcasting. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_infer_want_float(c, i));
    return skv_infer_broadcast(c, c->n_in, &c->out[0]);
}

static double real(double a, double b) { return a + b; }

static skive_status run(const skv_eval *c) {
    static const skv_binary op = {.f = real, .i = NULL, .u = NULL};
    return skv_variadic_run(c, &op);
}

static skive_status grad(skv_grad *c) {
    skive_value *dy = c->dout[0];
    for (uint32_t i = 0; i < c->node->n_inputs; i++)
        if (c->need[i]) c->din[i] = skv_grad_unbroadcast(c->b, dy, c->node->inputs[i]);
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 8, 13, 0); }

static const skv_op_case cases[] = {
    {.name = "three",
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 5)}, {CASE_F32(2), CASE_VALUES(2, 4)}, {CASE_F32(1), CASE_VALUES(3)}),
     .n_out = 1,
     CASE_EXPECT(6, 12)},
    {.name = "one", CASE_IN({CASE_F32(2), CASE_VALUES(1, 5)}), .n_out = 1, CASE_EXPECT(1, 5)},
    {.name = "broadcast", CASE_IN({CASE_F32(2, 3)}, {CASE_F32(2, 1)}), .n_out = 1, CASE_OUT(2, 3)},
};

const skv_op skv_op_sum = {
    .name = "Sum",
    .domain = "",
    .brief = "sum of the inputs, element by element",
    .since = 8,
    .min_in = 1,
    .max_in = -1,
    .min_out = 1,
    .max_out = 1,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_elementwise,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .pointwise = true,
};
