/* LpNormalization: each line along an axis divided by its norm of order 1 or 2; a line of zeros is unchanged. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/norm/common_norm_order.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL}, {"p", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    int axis;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_norm_order(c, 2));
    c->out[0] = *c->in[0];
    if (c->in[0]->rank < 0) return SKIVE_OK;
    return skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", -1), c->in[0]->rank, &axis);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", -1), x->rank);
    const double order = (double)skv_attr_int(c->node, "p", 2);
    int64_t inner = 1;
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dims[d];
    const int64_t size = x->dims[axis], lines = size ? skive_tensor_count(x) / size : 0;
    for (int64_t l = 0; l < lines; l++) {
        const int64_t first = l / inner * size * inner + l % inner;
        double sum = 0.0;
        for (int64_t k = 0; k < size; k++)
            sum += skv_norm_term(skv_load_f64(x->dtype, x->data, (size_t)(first + k * inner)), order);
        const double norm = skv_norm_root(sum, order);
        for (int64_t k = 0; k < size; k++) {
            const size_t at = (size_t)(first + k * inner);
            const double v = skv_load_f64(x->dtype, x->data, at);
            skv_store_f64(y->dtype, y->data, at, norm == 0.0 ? v : v / norm);
        }
    }
    return SKIVE_OK;
}

/* dX = (dY - g sum(dY y)) / norm, where g is the norm's own gradient: y for order 2, sign(x) for order 1. */
static skive_status grad(skv_grad *c) {
    skv_builder *b = c->b;
    const skive_node *n = c->node;
    skive_value *x = n->inputs[0], *y = n->outputs[0], *dy = c->dout[0];
    const int64_t axis = skv_attr_int(n, "axis", -1);
    const bool square = skv_attr_int(n, "p", 2) == 2;
    if (!c->need[0]) return SKIVE_OK;
    skive_value *axes = skv_emit_ints(b, &axis, 1);
    skive_value *norm = square ? skv_g2(b, "ReduceL2", x, axes) : skv_g2(b, "ReduceSum", skv_g1(b, "Abs", x), axes);
    norm = skv_g3(b, "Where", skv_g2(b, "Equal", norm, skv_g_scalar(b, x, 0)), skv_g_scalar(b, x, 1), norm);
    skive_value *along = skv_g2(b, "ReduceSum", skv_g2(b, "Mul", dy, y), axes);
    skive_value *taken = skv_g2(b, "Mul", square ? y : skv_g1(b, "Sign", x), along);
    c->din[0] = skv_g2(b, "Div", skv_g2(b, "Sub", dy, taken), norm);
    return b->status;
}

/* Channels of zeros do not count in a norm; every other one does. */
static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    skv_couple_same_axes(c, 0);
    if (!x || x->rank < 1) return;
    const int64_t axis = skv_axis(skv_attr_int(skv_couple_node(c), "axis", -1), x->rank);
    if (axis >= 0) skv_couple_mixes(c, SKV_CIN(0, (int)axis), "a norm is taken over this axis");
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return (skv_range){in[0].lo < 0.0 ? -1.0 : 0.0, in[0].hi > 0.0 ? 1.0 : 0.0};
}

static const skv_op_case cases[] = {
    {.name = "order 2, and zeros",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(3, -4, 0, 0)}),
     .n_out = 1,
     CASE_EXPECT(0.6, -0.8, 0, 0),
     .no_grad = true},
    {.name = "order 1, first axis",
     CASE_ATTRS(CASE_INT("axis", 0), CASE_INT("p", 1)),
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, -2, 3, 2)}),
     .n_out = 1,
     CASE_EXPECT(0.25, -0.5, 0.75, 0.5)},
    {.name = "middle axis", CASE_ATTRS(CASE_INT("axis", 1)), CASE_IN({CASE_F32(2, 3, 2)}), .n_out = 1},
};

const skv_op skv_op_lp_normalization = {
    .name = "LpNormalization",
    .domain = "",
    .brief = "lines divided by their norm",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = range,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
