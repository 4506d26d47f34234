/* Size: the number of elements of its input, as a scalar int64. Only the shape of the input is read. Its gradient is
 * zero. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    c->out[0] = (skive_type){.dtype = SKIVE_I64, .rank = 0};
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    ((int64_t *)c->out[0]->data)[0] = skive_tensor_count(c->in[0]);
    return SKIVE_OK;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 1, 13, 21); }

static const skv_op_case cases[] = {
    {.name = "by hand", CASE_IN({CASE_F32(2, 3, 4)}), .n_out = 1, CASE_EXPECT(24), .no_grad = true},
    {.name = "empty", CASE_IN({CASE_F32(2, 0)}), .n_out = 1, CASE_EXPECT(0), .no_grad = true},
};

const skv_op skv_op_size = {
    .name = "Size",
    .domain = "",
    .brief = "number of elements",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
