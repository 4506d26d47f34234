/* Gather: slices of x along `axis` by index; negative indices count from the end. */
#include "graph/shared.h"
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0], *index = c->in[1];
    skive_type *y = &c->out[0];
    int axis;
    y->dtype = x->dtype;
    if (index->dtype != SKIVE_DTYPE_NONE && index->dtype != SKIVE_I64 && index->dtype != SKIVE_I32) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': indices are %s, not integers", c->node->name,
                              skive_dtype_name(index->dtype));
    }
    if (x->rank < 0 || index->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", 0), x->rank, &axis));
    if (x->rank + index->rank - 1 > SKIVE_MAX_RANK)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the result has more than %d dimensions", c->node->name,
                              SKIVE_MAX_RANK);
    y->rank = 0;
    for (int d = 0; d < axis; d++) y->dims[y->rank++] = x->dims[d];
    for (int d = 0; d < index->rank; d++) y->dims[y->rank++] = index->dims[d];
    for (int d = axis + 1; d < x->rank; d++) y->dims[y->rank++] = x->dims[d];
    return skv_infer_limit(c, y);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *index = c->in[1];
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", 0), x->rank);
    const int64_t n = skive_tensor_count(index), size = x->dims[axis];
    int64_t outer = 1, inner = 1;
    for (int d = 0; d < axis; d++) outer *= x->dims[d];
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dims[d];
    for (int64_t k = 0; k < n; k++) {
        int64_t i = index->dtype == SKIVE_I32 ? ((const int32_t *)index->data)[k] : ((const int64_t *)index->data)[k];
        if (i < 0) i += size;
        if (i < 0 || i >= size) {
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                               "node '%s': an index is out of range for a dimension of %lld", c->node->name,
                               (long long)size);
        }
        for (int64_t o = 0; o < outer; o++) {
            const int64_t one = 1, to = (o * n + k) * inner, from = (o * size + i) * inner;
            if (inner > 0) skv_copy_strided(x->dtype, 1, &inner, c->out[0]->data, to, &one, x->data, from, &one);
        }
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    if (c->need[0]) {
        c->din[0] = skv_emit(c->b, "GatherGrad", SKV_IN(c->dout[0], n->inputs[1], n->inputs[0]),
                             SKV_ATTRS(SKV_INT("axis", skv_attr_int(n, "axis", 0))));
    }
    return c->b->status;
}

/* The gathered axis is selected by index; the others are coupled directly. */
/* The constant list of indices along the gathered axis; NULL: they are computed, or choose values of a codebook, or are
 * no list. */
static const skive_tensor *constant_list(const skive_node *n) {
    const skive_tensor *t = skv_node_constant(n, 1);
    if (!t || t->rank > 1 || (t->dtype != SKIVE_I64 && t->dtype != SKIVE_I32)) return NULL;
    return n->outputs[0] && skv_shared_find(n->outputs[0], NULL) ? NULL : t;
}

/* A channel that is gathered by a constant list goes together with its places in the list; rows that are looked up
 * stay. The other axes are coupled directly. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *index = skv_couple_type(c, SKV_CIN(1, 0));
    const int axis = x && x->rank >= 0 ? (int)skv_axis(skv_attr_int(n, "axis", 0), x->rank) : -1;
    if (axis < 0 || !index || index->rank < 0) {
        skv_couple_fix_all(c, "Gather");
        return;
    }
    for (int d = 0; d < x->rank; d++)
        if (d != axis) skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d < axis ? d : d + index->rank - 1));
    for (int d = 0; d < index->rank; d++) skv_couple_same(c, SKV_CIN(1, d), SKV_COUT(0, axis + d));
    const skive_tensor *list = constant_list(n);
    if (!list || x->dims[axis].size < 0) {
        skv_couple_fix(c, SKV_CIN(0, axis), "rows are looked up by index");
        return;
    }
    skv_couple_free(c, SKV_CIN(0, axis));
    for (int64_t i = 0; i < skive_tensor_count(list); i++) {
        int64_t at = skv_load_i64(list->dtype, list->data, (size_t)i);
        at += at < 0 ? x->dims[axis].size : 0;
        skv_slot one = SKV_COUT(0, axis);
        if (list->rank == 0) { /* this one stays */
            one = skv_couple_factor(c, 1);
            skv_couple_fix(c, one, "Gather takes this one");
        }
        skv_couple_range(c, SKV_CIN(0, axis), at, one, list->rank ? i : 0, 1, 1);
    }
}

/* The indices that are left are counted anew. */
static skive_status shrink(const skv_shrink *s) {
    const skive_node *n = skv_shrink_node(s);
    const skive_tensor *list = constant_list(n);
    const int axis = (int)skv_axis(skv_attr_int(n, "axis", 0), skv_shrink_type(s, SKV_CIN(0, 0))->rank);
    const skv_remaining x = skv_shrink_remaining(s, SKV_CIN(0, axis));
    int64_t *fresh = NULL;
    if (!list || !x.keep) return SKIVE_OK;
    const int64_t count = skive_tensor_count(list);
    SKV_TRY(skv_alloc_array(n->graph->ctx, (size_t)count + 1, sizeof *fresh, &fresh));
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = skv_load_i64(list->dtype, list->data, (size_t)i);
        fresh[i] = skv_remaining_among(&x, 0, at < 0 ? at + x.before : at);
    }
    const skive_status status = skv_shrink_list(s, 1, fresh, (size_t)count);
    skv_free(n->graph->ctx, fresh);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "rows",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_I64(2), CASE_VALUES(2, 0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(5, 6, 1, 2),
     CASE_OUT(2, 2)},
    {.name = "columns, from the end, twice",
     CASE_ATTRS(CASE_INT("axis", 1)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_I64(2), CASE_VALUES(-1, -1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(3, 3, 6, 6),
     CASE_OUT(2, 2)},
    {.name = "scalar index",
     CASE_IN({CASE_I64(3), CASE_VALUES(7, 8, 9)}, {CASE_SCALAR(SKIVE_I64, 1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(8),
     .no_grad = true},
};

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 13, 0); }

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_TABLE, .axes = true, .out_axis = -1, .in_axis = 0, .channels = "embedding width"},
    {.role = SKV_ROLE_DATA},
};

const skv_op skv_op_gather = {
    .name = "Gather",
    .brief = "slices by index",
    .domain = "",
    .since = 11,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    SKV_LIST(inputs),
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
