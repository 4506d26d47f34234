/* CumProd: products along an axis up to each element; without it (exclusive), or from the end (reverse). */
#include "ops/cases.h"
#include "ops/reduce/common_cumulative.h"

static skive_status run(const skv_eval *c) { return skv_cumulative_run(c, true); }

/* The other axes may lose channels; along the axis itself all factors count. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    const skive_tensor *list = skv_node_constant(n, 1);
    int64_t axis;
    if (!x || x->rank < 0 || !skv_couple_constant(c, 1) || !list || skv_read_ints(list, &axis, 1) != 1) return;
    for (int d = 0; d < x->rank; d++) {
        skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
        if (d == skv_axis(axis, x->rank)) skv_couple_fix(c, SKV_CIN(0, d), "CumProd multiplies along it");
    }
}

static const skv_op_case cases[] = {
    {.name = "rows",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(1, 1)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 6, 4, 20, 120),
     .no_grad = true},
    {.name = "from the end, exclusive",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(1, -1)),
     CASE_ATTRS(CASE_INT("exclusive", 1), CASE_INT("reverse", 1)),
     .n_out = 1,
     CASE_EXPECT(6, 3, 1, 30, 6, 1),
     .no_grad = true},
    {.name = "int32",
     CASE_IN({CASE_TYPED(SKIVE_I32, 3), CASE_VALUES(-3, 5, 7)}, CASE_LIST(1, 0)),
     .n_out = 1,
     CASE_EXPECT(-3, -15, -105),
     .no_grad = true},
};

const skv_op skv_op_cum_prod = {
    .name = "CumProd",
    .domain = "",
    .brief = "products along an axis up to each element",
    .since = 26,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .attrs = skv_cumulative_attrs,
    .n_attrs = SKV_CUMULATIVE_ATTRS,
    .infer = skv_cumulative_infer,
    .run = run,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
