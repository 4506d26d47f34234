/* Pad: more elements at the ends of axes: a constant, the mirrored input, its border, or the input wrapped around.
 * Negative pads take elements away. Attributes became inputs with opset 11; axes came with 18. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP, PAD_UNKNOWN } pad_mode;

static pad_mode mode_of(const skive_node *n) {
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = skv_attr_string(n, "mode", "constant");
    for (int i = 0; i < 4; i++) {
        if (strcmp(mode, names[i]) == 0) return (pad_mode)i;
    }
    return PAD_UNKNOWN;
}

/* Spreads the lists over all axes; false when they do not fit the rank. */
static bool spread(int rank, const int64_t *pads, int n_pads, const int64_t *axes, int n_axes, int64_t *before,
                   int64_t *after) {
    const int n = n_axes >= 0 ? n_axes : rank;
    uint32_t mask;
    if (n_pads != 2 * n || (n_axes >= 0 && !skv_axes_mask(axes, n_axes, rank, &mask))) return false;
    for (int d = 0; d < rank; d++) before[d] = after[d] = 0;
    for (int i = 0; i < n; i++) {
        const int64_t d = n_axes >= 0 ? skv_axis(axes[i], rank) : i;
        before[d] = pads[i];
        after[d] = pads[i + n];
    }
    return true;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    skive_type *y = &c->out[0];
    int64_t pads[2 * SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK], before[SKIVE_MAX_RANK], after[SKIVE_MAX_RANK];
    int n_pads, n_axes = -1;
    *y = *x;
    if (mode_of(c->node) == PAD_UNKNOWN)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': no padding mode '%s'", c->node->name,
                              skv_attr_string(c->node, "mode", ""));
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_ints(c, 1, "the pads", pads, 2 * SKIVE_MAX_RANK, &n_pads));
    const bool named = c->n_in > 3 && c->in[3];
    if (named) SKV_TRY(skv_infer_ints(c, 3, "the axes", axes, SKIVE_MAX_RANK, &n_axes));
    if (n_pads < 0 || (named && n_axes < 0)) {
        for (int d = 0; d < x->rank; d++) y->dims[d] = skv_dim_unknown();
        return SKIVE_OK;
    }
    if (!spread(x->rank, pads, n_pads, axes, n_axes, before, after)) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %d pads do not fit an input of rank %d", c->node->name,
                              n_pads, x->rank);
    }
    for (int d = 0; d < x->rank; d++) {
        int64_t sum, size = x->dims[d].size;
        if (before[d] == 0 && after[d] == 0) continue;
        if (size < 0) {
            y->dims[d] = skv_dim_unknown();
            continue;
        }
        if (!skv_add_i64(before[d], after[d], &sum) || !skv_add_i64(sum, size, &sum) || sum < 0) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': pads of dimension %d leave no valid size",
                                  c->node->name, d);
        }
        if (mode_of(c->node) != PAD_CONSTANT && size == 0 && sum > 0) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': dimension %d is empty and cannot be continued",
                                  c->node->name, d);
        }
        y->dims[d] = skv_dim(sum);
    }
    return skv_infer_limit(c, y);
}

/* Index of the input that output index i of an axis shows; -1: the constant. */
static int64_t source(pad_mode mode, int64_t i, int64_t size) {
    if (i >= 0 && i < size) return i;
    if (mode == PAD_CONSTANT) return -1;
    if (mode == PAD_EDGE) return i < 0 ? 0 : size - 1;
    if (mode == PAD_WRAP) return (i % size + size) % size;
    if (size == 1) return 0;
    const int64_t period = 2 * (size - 1);
    i = (i % period + period) % period;
    return i < size ? i : period - i;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *fill = c->n_in > 2 ? c->in[2] : NULL;
    skive_tensor *y = c->out[0];
    const pad_mode mode = mode_of(c->node);
    int64_t pads[2 * SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK], before[SKIVE_MAX_RANK], after[SKIVE_MAX_RANK];
    int64_t strides[SKIVE_MAX_RANK], index[SKIVE_MAX_RANK] = {0};
    int n_pads, n_axes = -1;
    SKV_TRY(skv_eval_ints(c, 1, "the pads", pads, 2 * SKIVE_MAX_RANK, &n_pads));
    if (c->n_in > 3 && c->in[3]) SKV_TRY(skv_eval_ints(c, 3, "the axes", axes, SKIVE_MAX_RANK, &n_axes));
    if (!spread(x->rank, pads, n_pads, axes, n_axes, before, after)) {
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': pads do not fit", c->node->name);
    }
    skv_dims_strides(x->rank, x->dims, strides);
    const int64_t n = skive_tensor_count(y);
    memset(y->data, 0, skive_tensor_bytes(y));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        bool inside = true;
        for (int d = 0; d < y->rank && inside; d++) {
            const int64_t s = source(mode, index[d] - before[d], x->dims[d]);
            inside = s >= 0;
            at += s * strides[d];
        }
        if (inside)
            skv_copy_element(y->dtype, y->data, (size_t)i, x->data, (size_t)at);
        else if (fill)
            skv_copy_element(y->dtype, y->data, (size_t)i, fill->data, 0);
        for (int d = y->rank - 1; d >= 0 && ++index[d] == y->dims[d]; d--) index[d] = 0;
    }
    return SKIVE_OK;
}

/* Constant padding: the gradient is the part that was the input. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    const skive_tensor *pads = skv_node_constant(n, 1), *axes = skv_node_constant(n, 3);
    const int rank = n->inputs[0]->type.rank;
    int64_t list[2 * SKIVE_MAX_RANK], chosen[SKIVE_MAX_RANK], before[SKIVE_MAX_RANK], after[SKIVE_MAX_RANK],
        back[2 * SKIVE_MAX_RANK];
    if (!c->need[0]) return SKIVE_OK;
    const int n_pads = pads ? skv_read_ints(pads, list, 2 * SKIVE_MAX_RANK) : -1;
    const int n_axes = axes ? skv_read_ints(axes, chosen, SKIVE_MAX_RANK) : -1;
    if (mode_of(n) != PAD_CONSTANT || rank < 0 || !spread(rank, list, n_pads, chosen, n_axes, before, after)) {
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "node '%s': only constant padding by known amounts has a gradient", n->name);
    }
    for (int d = 0; d < rank; d++) {
        back[d] = -before[d];
        back[d + rank] = -after[d];
    }
    c->din[0] = skv_emit(c->b, "Pad", SKV_IN(c->dout[0], skv_emit_ints(c->b, back, 2 * (size_t)rank)), SKV_NONE);
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *y = skv_couple_type(c, SKV_COUT(0, 0));
    for (int d = 0; x && y && d < x->rank && d < y->rank; d++) {
        if (x->dims[d].size >= 0 && x->dims[d].size == y->dims[d].size) {
            skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
        } else {
            skv_couple_fix(c, SKV_CIN(0, d), "Pad");
            skv_couple_fix(c, SKV_COUT(0, d), "Pad");
        }
    }
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    const skive_dtype dtype = n->inputs[0]->type.dtype == SKIVE_DTYPE_NONE ? SKIVE_F32 : n->inputs[0]->type.dtype;
    if (from >= 11) return SKIVE_OK;
    SKV_TRY(skv_import_ints(g, n, "pads", 1));
    return skv_import_float(g, n, "value", 2, dtype);
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
     CASE_EXPECT(3, 2, 1, 2, 3, 2),
     .no_grad = true},
    {.name = "edge",
     CASE_ATTRS(CASE_STR("mode", "edge")),
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 2)}, CASE_LIST(2, 1, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 1, 2, 2, 2),
     .no_grad = true},
    {.name = "taken away",
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
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
