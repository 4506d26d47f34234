/* CumSum: sums along an axis up to each element; without it (exclusive), or from the end (reverse). */
#include "ops/cases.h"
#include "ops/reduce/common_cumulative.h"

static skive_status run(const skv_eval *c) { return skv_cumulative_run(c, false); }

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "CumSum", SKV_IN(c->dout[0], n->inputs[1]),
                             SKV_ATTRS(SKV_INT("exclusive", skv_attr_int(n, "exclusive", 0)),
                                       SKV_INT("reverse", !skv_attr_int(n, "reverse", 0))));
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 14, 0); }

/* To a sum, zeros add nothing: the steps may go as well. What is not zero counts in the sums behind it, though. */
static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    const skive_tensor *list = skv_node_constant(skv_couple_node(c), 1);
    int64_t axis = 0;
    skv_couple_same_axes(c, 0);
    const bool known = skv_couple_constant(c, 1) && list && skv_read_ints(list, &axis, 1) == 1;
    for (int d = 0; x && d < x->rank; d++)
        if (!known || d == skv_axis(axis, x->rank)) skv_couple_mixes(c, SKV_CIN(0, d), "CumSum adds along this axis");
}

static const skv_op_case cases[] = {
    {.name = "rows",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(1, 1)),
     .n_out = 1,
     CASE_EXPECT(1, 3, 6, 4, 9, 15)},
    {.name = "from the end, exclusive",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(1, -1)),
     CASE_ATTRS(CASE_INT("exclusive", 1), CASE_INT("reverse", 1)),
     .n_out = 1,
     CASE_EXPECT(5, 3, 0, 11, 6, 0)},
    {.name = "int64",
     CASE_IN({CASE_I64(3), CASE_VALUES(9007199254740992, 2, 2)}, CASE_LIST(1, 0)),
     .n_out = 1,
     CASE_EXPECT(9007199254740992, 9007199254740994, 9007199254740996),
     .no_grad = true},
};

const skv_op skv_op_cum_sum = {
    .name = "CumSum",
    .domain = "",
    .brief = "sums along an axis up to each element",
    .since = 11,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .attrs = skv_cumulative_attrs,
    .n_attrs = SKV_CUMULATIVE_ATTRS,
    .needs_opset = needs_opset,
    .infer = skv_cumulative_infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
