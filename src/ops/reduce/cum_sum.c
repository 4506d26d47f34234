/* CumSum: sums along an axis up to each element; without it (exclusive), or from the end (reverse). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"exclusive", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"reverse", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int64_t axis;
    int n, at;
    SKV_TRY(skv_infer_want_numeric(c, 0));
    SKV_TRY(skv_infer_ints(c, 1, "the axis", &axis, 1, &n));
    if (n == 0) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the axis is empty", c->node->name);
    if (n == 1 && x->rank >= 0) SKV_TRY(skv_infer_axis(c, "axis", axis, x->rank, &at));
    return skv_infer_same(c);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const bool exclusive = skv_attr_int(c->node, "exclusive", 0) != 0,
               reverse = skv_attr_int(c->node, "reverse", 0) != 0;
    const bool real = skv_dtype_is_float(x->dtype);
    int64_t axis = 0, outer = 1, inner = 1;
    int n;
    SKV_TRY(skv_eval_ints(c, 1, "the axis", &axis, 1, &n));
    if (n != 1 || (axis = skv_axis(axis, x->rank)) < 0)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': there is no such axis in rank %d",
                           c->node->name, x->rank);
    for (int d = 0; d < axis; d++) outer *= x->dims[d];
    for (int d = (int)axis + 1; d < x->rank; d++) inner *= x->dims[d];
    const int64_t length = x->dims[axis];
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            double sum = 0;
            uint64_t whole = 0;
            for (int64_t k = 0; k < length; k++) {
                const size_t at = (size_t)((o * length + (reverse ? length - 1 - k : k)) * inner + i);
                const double before = sum;
                const uint64_t whole_before = whole;
                if (real) {
                    sum += skv_load_f64(x->dtype, x->data, at);
                    skv_store_f64(y->dtype, y->data, at, exclusive ? before : sum);
                } else {
                    whole += (uint64_t)skv_load_bits(x->dtype, x->data, at);
                    skv_store_wrap(y->dtype, y->data, at, (int64_t)(exclusive ? whole_before : whole));
                }
            }
        }
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "CumSum", SKV_IN(c->dout[0], n->inputs[1]),
                             SKV_ATTRS(SKV_INT("exclusive", skv_attr_int(n, "exclusive", 0)),
                                       SKV_INT("reverse", !skv_attr_int(n, "reverse", 0))));
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 14, 0); }

/* To a sum, zeros add nothing: the steps may go as well. */
static void couple(skv_couple *c) { skv_couple_same_axes(c, 0); }

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
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
