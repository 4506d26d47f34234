/* Pad: more elements at the ends of axes: a constant, the mirrored input, its border, or the input wrapped around.
 * Negative pads remove elements. Attributes became inputs in opset 11; axes were added in 18. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/shape/common_pad.h"

static const skv_attr_spec attrs[] = {{"mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0], *fill = skv_infer_in(c, 2);
    skive_type *y = &c->out[0];
    int64_t pads[2 * SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK];
    int n_pads, n_axes = -1;
    skv_pads p;
    *y = *x;
    const skv_pad_mode mode = skv_pad_mode_of(c->node);
    if (mode == SKV_PAD_UNKNOWN)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "unknown padding mode '%s'", skv_attr_string(c->node, "mode", ""));
    SKV_TRY(skv_infer_one_type(c, 0, 2));
    if (fill->rank > 1 || (fill->rank == 1 && fill->dims[0].size >= 0 && fill->dims[0].size != 1))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "the padding value is not a scalar");
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_ints(c, 1, "the pads", pads, 2 * SKIVE_MAX_RANK, &n_pads));
    const bool named = c->n_in > 3 && c->in[3];
    if (named) SKV_TRY(skv_infer_ints(c, 3, "the axes", axes, SKIVE_MAX_RANK, &n_axes));
    if (n_pads < 0 || (named && n_axes < 0)) {
        for (int d = 0; d < x->rank; d++) y->dims[d] = skv_dim_unknown();
        return SKIVE_OK;
    }
    if (!skv_pads_spread(&p, x->rank, pads, n_pads, axes, n_axes))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%d pads do not match an input of rank %d", n_pads, x->rank);
    for (int d = 0; d < x->rank; d++) {
        int64_t sum, size = x->dims[d].size;
        if (p.before[d] == 0 && p.after[d] == 0) continue;
        if (size < 0) {
            y->dims[d] = skv_dim_unknown();
            continue;
        }
        if (!skv_add_i64(p.before[d] + p.after[d], size, &sum) || sum < 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "the pads of dimension %d give no valid size", d);
        if (mode != SKV_PAD_CONSTANT && size == 0 && sum > 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "dimension %d is empty and cannot be padded in this mode", d);
        y->dims[d] = skv_dim(sum);
    }
    return skv_infer_limit(c, y);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *fill = c->n_in > 2 ? c->in[2] : NULL;
    skive_tensor *y = c->out[0];
    const skv_pad_mode mode = skv_pad_mode_of(c->node);
    int64_t strides[SKIVE_MAX_RANK], index[SKIVE_MAX_RANK] = {0};
    skv_pads p;
    SKV_TRY(skv_pads_read(c, 1, 3, x->rank, &p));
    if (x->rank != y->rank || x->dtype != y->dtype ||
        (fill && (fill->dtype != y->dtype || skive_tensor_count(fill) != 1)))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "input, value and result do not match");
    skv_dims_strides(x->rank, x->dims, strides);
    const int64_t n = skive_tensor_count(y);
    if (n > 0) memset(y->data, 0, skive_tensor_bytes(y));
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = skv_pad_source(mode, &p, x->rank, x->dims, strides, index);
        if (at >= 0)
            skv_copy_element(y->dtype, y->data, (size_t)i, x->data, (size_t)at);
        else if (fill)
            skv_copy_element(y->dtype, y->data, (size_t)i, fill->data, 0);
        for (int d = y->rank - 1; d >= 0 && ++index[d] == y->dims[d]; d--) index[d] = 0;
    }
    return SKIVE_OK;
}

/* The gradient of copied elements is that of the input; the rest of dY is that of the padding value. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skive_value *x = n->inputs[0], *fill = skv_node_in(n, 2), *dx;
    const bool need_fill = fill && c->need[2];
    int64_t back[2 * SKIVE_MAX_RANK];
    skv_pads p;
    if (!c->need[0] && !need_fill) return SKIVE_OK;
    if (skv_pad_mode_of(n) == SKV_PAD_CONSTANT && skv_pads_constant(n, 1, 3, x->type.rank, &p)) {
        for (int d = 0; d < x->type.rank; d++) { /* Pad by the negative amounts */
            back[d] = -p.before[d];
            back[d + x->type.rank] = -p.after[d];
        }
        dx = skv_emit(c->b, "Pad", SKV_IN(c->dout[0], skv_emit_ints(c->b, back, 2 * (size_t)x->type.rank)), SKV_NONE);
    } else {
        const char *mode = skv_attr_string(n, "mode", "constant");
        dx = skv_emit(c->b, "PadGrad", SKV_IN(c->dout[0], x, n->inputs[1], skv_node_in(n, 3)),
                      SKV_ATTRS(SKV_STR("mode", mode)));
    }
    if (c->need[0]) c->din[0] = dx;
    if (need_fill) {
        skive_value *all = skv_g2(c->b, "SumTo", c->dout[0], fill), *shown = skv_g2(c->b, "SumTo", dx, fill);
        c->din[2] = skv_g2(c->b, "Sub", all, shown);
    }
    return c->b->status;
}

/* Filled elements may go by themselves. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *y = skv_couple_type(c, SKV_COUT(0, 0));
    skv_pads p;
    if (!x || !y || x->rank != y->rank || !skv_pads_constant(n, 1, 3, x->rank, &p)) {
        skv_couple_fix_all(c, "Pad by amounts that are computed");
        return;
    }
    for (int d = 0; d < x->rank; d++) {
        const bool fills = p.before[d] >= 0 && p.after[d] >= 0 && skv_pad_mode_of(n) == SKV_PAD_CONSTANT;
        if (p.before[d] == 0 && p.after[d] == 0) {
            skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
        } else if (fills && x->dims[d].size >= 0) {
            skv_couple_range(c, SKV_CIN(0, d), 0, SKV_COUT(0, d), p.before[d], x->dims[d].size, 1);
        } else {
            skv_couple_fix(c, SKV_CIN(0, d), "Pad repeats or drops elements of this axis");
            skv_couple_fix(c, SKV_COUT(0, d), "Pad repeats or drops elements of this axis");
        }
    }
}

static skive_status shrink(const skv_shrink *s) {
    const skive_type *x = skv_shrink_type(s, SKV_CIN(0, 0));
    int64_t list[2 * SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK];
    const skive_tensor *pads = skv_node_constant(skv_shrink_node(s), 1);
    const int n = pads ? skv_read_ints(pads, list, 2 * SKIVE_MAX_RANK) / 2 : -1, named = skv_shrink_read(s, 3, axes);
    bool changed = false;
    for (int i = 0; i < n; i++) {
        const int d = named >= 0 ? (int)skv_axis(axes[i], x->rank) : i;
        const skv_remaining out = skv_shrink_remaining(s, SKV_COUT(0, d));
        if (!out.keep || (list[i] == 0 && list[n + i] == 0)) continue;
        const int64_t end = list[i] + x->dims[d].size;
        list[n + i] = skv_remaining_among(&out, end, list[n + i]);
        list[i] = skv_remaining_among(&out, 0, list[i]);
        changed = true;
    }
    return changed ? skv_shrink_list(s, 1, list, 2 * (size_t)n) : SKIVE_OK;
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    if (from >= 11) return SKIVE_OK;
    const skive_value *x = skv_node_in(n, 0);
    const skive_dtype dtype = x && skv_dtype_is_float(x->type.dtype) ? x->type.dtype : SKIVE_F32;
    SKV_TRY(skv_import_ints(g, n, "pads", 1));
    return skv_import_float(g, n, "value", 2, dtype);
}

/* Elements of the input, and those that fill; along the channels unless these are padded themselves. */
static skive_status bounds(skv_bounding *b) {
    const skive_node *n = skv_bounding_node(b);
    const skive_type *x = &n->inputs[0]->type;
    const int axis = skv_bound_axis(b, 0);
    const skive_tensor *value = skv_bound_constant(b, 2);
    const bool fills = skv_pad_mode_of(n) == SKV_PAD_CONSTANT;
    const double fill = value && skive_tensor_count(value) == 1 ? skv_load_f64(value->dtype, value->data, 0) : 0;
    skv_pads p;
    skv_range *r;
    if (x->rank < 0 || (skv_node_in(n, 2) && !value) || !skv_pads_constant(n, 1, 3, x->rank, &p)) return SKIVE_OK;
    const bool whole = axis < 0 || p.before[axis] != 0 || p.after[axis] != 0;
    const int64_t length = whole ? 1 : x->dims[axis].size;
    SKV_TRY(skv_bound_output(b, whole ? -1 : axis, length, &r));
    for (int64_t i = 0; i < length; i++) {
        r[i] = skv_bound_at(b, 0, whole ? -1 : axis, i);
        if (fills && fill < r[i].lo) r[i].lo = fill;
        if (fills && fill > r[i].hi) r[i].hi = fill;
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "constant",
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 2)}, CASE_LIST(2, 1, 2), {CASE_SCALAR(SKIVE_F32, 9), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(9, 1, 2, 9, 9)},
    {.name = "reflect",
     CASE_ATTRS(CASE_STR("mode", "reflect")),
     CASE_IN({CASE_F32(3), CASE_VALUES(1, 2, 3)}, CASE_LIST(2, 2, 1)),
     .n_out = 1,
     CASE_EXPECT(3, 2, 1, 2, 3, 2)},
    {.name = "edge",
     CASE_ATTRS(CASE_STR("mode", "edge")),
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 2)}, CASE_LIST(2, 1, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 1, 2, 2, 2)},
    {.name = "wrap",
     CASE_ATTRS(CASE_STR("mode", "wrap")),
     CASE_IN({CASE_F32(3), CASE_VALUES(1, 2, 3)}, CASE_LIST(2, 1, 2)),
     .n_out = 1,
     CASE_EXPECT(3, 1, 2, 3, 1, 2)},
    {.name = "a trainable value",
     CASE_IN({CASE_F32(2, 2)}, CASE_LIST(4, 1, -1, 0, 1), {.dtype = SKIVE_F32}),
     .n_out = 1,
     CASE_OUT(3, 2)},
    {.name = "reflect two axes",
     CASE_ATTRS(CASE_STR("mode", "reflect")),
     CASE_IN({CASE_F32(2, 3, 3)}, CASE_LIST(4, 1, 2, 2, 0), CASE_ABSENT, CASE_LIST(2, 1, 2)),
     .n_out = 1,
     CASE_OUT(2, 6, 5)},
    {.name = "removed",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 3, 4)}, CASE_LIST(2, -1, -1)),
     .n_out = 1,
     CASE_EXPECT(2, 3)},
    {.name = "axes",
     CASE_IN({CASE_F32(2, 2)}, CASE_LIST(2, 1, 1), CASE_ABSENT, CASE_LIST(1, -1)),
     .n_out = 1,
     CASE_OUT(2, 4)},
};

static int needs_opset(const skive_node *n) { return skv_node_in(n, 3) ? 18 : skv_needs_for_dtype(n, 13, 13, 21); }

const skv_op skv_op_pad = {
    .name = "Pad",
    .brief = "more (or fewer) elements at the ends",
    .domain = "",
    .since = 13,
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = import,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .bounds = bounds,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0) | SKV_STRINGS(2),
    SKV_LIST(cases),
};
