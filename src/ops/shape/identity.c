/* Identity: y = x. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = c->dout[0];
    return c->b->status;
}

static void couple(skv_couple *c) { skv_couple_same_axes(c, 0); }

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 1, 13, 21); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 4),
     CASE_OUT(2, 2)},
    {.name = "bool", CASE_IN({CASE_BOOL(3), CASE_VALUES(1, 0, 1)}), .n_out = 1, CASE_EXPECT(1, 0, 1), .no_grad = true},
};

const skv_op skv_op_identity = {
    .name = "Identity",
    .domain = "",
    .brief = "the input unchanged",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .needs_opset = needs_opset,
    .infer = skv_infer_same,
    .run = skv_run_copy,
    .grad = grad,
    .couple = couple,
    .range = skv_range_first,
    .bounds = skv_bound_reshape,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
    .motion = SKV_RESHAPES,
};
