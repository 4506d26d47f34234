/* Where: y = a where the condition holds, b elsewhere, all three broadcast. Any element type. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_want(c, 0, SKIVE_BOOL));
    SKV_TRY(skv_infer_one_type(c, 1, 2));
    const skive_type *const all[] = {skv_infer_in(c, 0), skv_infer_in(c, 1), skv_infer_in(c, 2)};
    c->out[0].dtype = all[1]->dtype != SKIVE_DTYPE_NONE ? all[1]->dtype : all[2]->dtype;
    return skv_broadcast_types(c, all, 3, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *y = c->out[0];
    skv_walk w;
    if (c->in[1]->dtype != y->dtype || c->in[2]->dtype != y->dtype)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the two choices differ in element type");
    SKV_TRY(skv_walk_start(&w, c, y->rank, y->dims, c->in, 3));
    for (size_t i = 0; i < (size_t)w.count; i++, skv_walk_next(&w)) {
        size_t from = ((const uint8_t *)c->in[0]->data)[w.at[0]] ? 1 : 2;
        skv_copy_element(y->dtype, y->data, i, c->in[from]->data, w.at[from]);
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_value *const *in = c->node->inputs;
    skive_value *zero = skv_g_scalar(c->b, c->node->outputs[0], 0);
    if (c->need[1]) c->din[1] = skv_grad_unbroadcast(c->b, skv_g3(c->b, "Where", in[0], c->dout[0], zero), in[1]);
    if (c->need[2]) c->din[2] = skv_grad_unbroadcast(c->b, skv_g3(c->b, "Where", in[0], zero, c->dout[0]), in[2]);
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return (skv_range){fmin(in[1].lo, in[2].lo), fmax(in[1].hi, in[2].hi)};
}

static int needs_opset(const skive_node *n) {
    const skive_value *y = n->n_outputs ? n->outputs[0] : NULL;
    return y && y->type.dtype == SKIVE_BF16 ? 16 : 9;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_BOOL(2, 2), CASE_VALUES(1, 0, 1, 1)}, {CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)},
             {CASE_F32(2), CASE_VALUES(9, 8)}),
     .n_out = 1,
     CASE_EXPECT(1, 8, 3, 4)},
    {.name = "int64",
     CASE_IN({CASE_BOOL(2), CASE_VALUES(1, 0)}, {CASE_I64(1), CASE_VALUES(-1)}, {CASE_I64(2), CASE_VALUES(5, 6)}),
     .n_out = 1,
     CASE_EXPECT(-1, 6),
     .no_grad = true},
    {.name = "random",
     CASE_IN({CASE_BOOL(3), CASE_VALUES(1, 0, 1)}, {CASE_F32(2, 1)}, {CASE_F32(2, 3)}),
     .n_out = 1,
     CASE_OUT(2, 3)},
};

const skv_op skv_op_where = {
    .name = "Where",
    .domain = "",
    .brief = "one of two values by a condition",
    .since = 9,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_elementwise,
    .range = range,
    .cost = skv_cost_per_element,
    .strings = SKV_STRINGS(1) | SKV_STRINGS(2),
    SKV_LIST(cases),
    .pointwise = true,
};
