/* Split: parts along `axis`, of the sizes given or of equal size. Sizes were an attribute before opset 13; num_outputs
 * was added in 18, and its last part may be smaller. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"num_outputs", SKV_ATTR_INT, SKV_OPTIONAL}};
enum { MAX_PARTS = 1024 };

/* Sizes of n parts of `size` elements: given[] or equal. False if they do not match. */
static bool part_sizes(int64_t size, int n, const int64_t *given, int n_given, int64_t *sizes) {
    int64_t sum = 0;
    if (n_given >= 0) {
        if (n_given != n) return false;
        for (int i = 0; i < n; i++) {
            if (given[i] < 0 || !skv_add_i64(sum, given[i], &sum)) return false;
            sizes[i] = given[i];
        }
        return size < 0 || sum == size;
    }
    if (size < 0) return true;
    const int64_t part = size / n + (size % n != 0);
    for (int i = 0; i < n; i++) {
        sizes[i] = size - sum < part ? size - sum : part;
        sum += sizes[i];
    }
    return true;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    int64_t given[MAX_PARTS], sizes[MAX_PARTS];
    int n_given = -1, axis;
    const int n = (int)c->n_out;
    if (n < 1) return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': the split has no parts", c->node->name);
    if (n > MAX_PARTS) return SKV_INFER_FAIL(c, SKIVE_ERR_LIMIT, "node '%s': %d parts are too many", c->node->name, n);
    for (int i = 0; i < n; i++) c->out[i] = *x;
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", 0), x->rank, &axis));
    const bool listed = c->n_in > 1 && c->in[1];
    if (listed) SKV_TRY(skv_infer_ints(c, 1, "the sizes", given, MAX_PARTS, &n_given));
    const bool known = (n_given >= 0 || !listed) && (x->dims[axis].size >= 0 || n_given >= 0);
    if (known && !part_sizes(x->dims[axis].size, n, given, n_given, sizes)) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the sizes of %d parts do not add up to %lld",
                              c->node->name, n, (long long)x->dims[axis].size);
    }
    for (int i = 0; i < n; i++) c->out[i].dims[axis] = known ? skv_dim(sizes[i]) : skv_dim_unknown();
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    const int64_t axis = skv_axis(skv_attr_int(c->node, "axis", 0), x->rank);
    int64_t given[MAX_PARTS], sizes[MAX_PARTS] = {0}, from[SKIVE_MAX_RANK], to[SKIVE_MAX_RANK], dims[SKIVE_MAX_RANK],
                              at = 0;
    int n_given = -1;
    if (c->n_in > 1 && c->in[1]) SKV_TRY(skv_eval_ints(c, 1, "the sizes", given, MAX_PARTS, &n_given));
    if (!part_sizes(x->dims[axis], (int)c->n_out, given, n_given, sizes)) {
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': the sizes do not add up", c->node->name);
    }
    skv_dims_strides(x->rank, x->dims, from);
    memcpy(dims, x->dims, sizeof dims);
    for (size_t i = 0; i < c->n_out; i++) {
        dims[axis] = sizes[i];
        skv_dims_strides(x->rank, dims, to);
        if (c->out[i] && skive_tensor_count(c->out[i]) > 0) {
            skv_copy_strided(x->dtype, x->rank, dims, c->out[i]->data, 0, to, x->data, at * from[axis], from);
        }
        at += sizes[i];
    }
    return SKIVE_OK;
}

/* The parts' gradients concatenated; the gradient of an unused part is zero. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skive_value **parts = NULL;
    if (!c->need[0]) return SKIVE_OK;
    SKV_TRY(skv_arena_array(c->b->graph->arena, n->n_outputs, sizeof *parts, &parts));
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        parts[i] = c->dout[i];
        if (parts[i]) continue;
        skive_value *shape = skv_emit(c->b, "Shape", SKV_IN(n->outputs[i]), SKV_NONE);
        parts[i] =
            skv_emit(c->b, "Expand", SKV_IN(skv_emit_scalar(c->b, n->inputs[0]->type.dtype, 0), shape), SKV_NONE);
    }
    c->din[0] = skv_emit(c->b, "Concat", (skv_in_list){parts, n->n_outputs},
                         SKV_ATTRS(SKV_INT("axis", skv_attr_int(n, "axis", 0))));
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    const int axis = x && x->rank >= 0 ? (int)skv_axis(skv_attr_int(n, "axis", 0), x->rank) : -1;
    int64_t at = 0;
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const skive_type *y = skv_couple_type(c, SKV_COUT((int)i, 0));
        if (axis < 0 || !y || y->rank != x->rank || y->dims[axis].size < 0 || !skv_couple_constant(c, 1)) {
            skv_couple_fix_all(c, "Split");
            return;
        }
        for (int d = 0; d < x->rank; d++) {
            if (d != axis) skv_couple_same(c, SKV_CIN(0, d), SKV_COUT((int)i, d));
        }
        skv_couple_range(c, SKV_CIN(0, axis), at, SKV_COUT((int)i, axis), 0, y->dims[axis].size, 1);
        at += y->dims[axis].size;
    }
}

static skive_status shrink(const skv_shrink *s) {
    skive_node *n = skv_shrink_node(s);
    const skive_type *x = skv_shrink_type(s, SKV_CIN(0, 0));
    const int axis = (int)skv_axis(skv_attr_int(n, "axis", 0), x->rank);
    int64_t sizes[MAX_PARTS];
    bool changed = false;
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const skv_remaining y = skv_shrink_remaining(s, SKV_COUT((int)i, axis));
        if (i >= MAX_PARTS || y.before == 0) return SKIVE_OK; /* inference says whether that is right */
        sizes[i] = y.after;
        changed = changed || y.keep;
    }
    if (!changed) return SKIVE_OK;
    skv_node_remove_attr(n, "num_outputs");
    return skv_shrink_list(s, 1, sizes, n->n_outputs);
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    if (from < 13) SKV_TRY(skv_import_ints(g, n, "split", 1));
    /* Before 18, parts without sizes were equal; since then num_outputs is required. */
    if (from < 18 && !skv_node_in(n, 1)) return skv_node_set_attr(n, &SKV_INT("num_outputs", n->n_outputs));
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "sizes",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 3, 4)}, CASE_LIST(2, 1, 3)),
     .n_out = 2,
     CASE_EXPECT(1),
     CASE_OUT(1)},
    {.name = "equal",
     CASE_ATTRS(CASE_INT("axis", 1)),
     CASE_IN({CASE_F32(2, 4), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8)}),
     .n_out = 2,
     CASE_EXPECT(1, 2, 5, 6),
     CASE_OUT(2, 2)},
    {.name = "smaller last",
     CASE_ATTRS(CASE_INT("num_outputs", 3)),
     CASE_IN({CASE_F32(7, 2)}),
     .n_out = 3,
     CASE_OUT(3, 2)},
};

static int needs_opset(const skive_node *n) { return skv_node_attr(n, "num_outputs") ? 18 : 13; }

const skv_op skv_op_split = {
    .name = "Split",
    .brief = "parts along an axis",
    .domain = "",
    .since = 13,
    .min_in = 1,
    .max_in = 2,
    .min_out = 1,
    .max_out = -1,
    SKV_LIST(attrs),
    .import = import,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .range = skv_range_first,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
