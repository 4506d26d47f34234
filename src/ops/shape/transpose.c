/* Transpose: the dimensions in another order, reversed if none is given. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"perm", SKV_ATTR_INTS, SKV_OPTIONAL}};

/* perm[] of the node for `rank`; false if it is not a permutation (ONNX has no negative axes here). */
static bool permutation(const skive_node *n, int rank, int *perm) {
    size_t count;
    const int64_t *given = skv_attr_ints(n, "perm", &count);
    uint32_t seen = 0;
    for (int d = 0; d < rank; d++) {
        if (!given) {
            perm[d] = rank - 1 - d;
            continue;
        }
        if (count != (size_t)rank || given[d] < 0 || given[d] >= rank) return false;
        perm[d] = (int)given[d];
        if (seen >> perm[d] & 1u) return false;
        seen |= 1u << perm[d];
    }
    return true;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    int perm[SKIVE_MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return SKIVE_OK;
    if (!permutation(c->node, x->rank, perm)) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': perm is not a permutation of %d dimensions",
                              c->node->name, x->rank);
    }
    c->out[0].rank = x->rank;
    for (int d = 0; d < x->rank; d++) c->out[0].dims[d] = x->dims[perm[d]];
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    skive_tensor *y = c->out[0];
    int perm[SKIVE_MAX_RANK];
    int64_t in_strides[SKIVE_MAX_RANK], out_strides[SKIVE_MAX_RANK], from[SKIVE_MAX_RANK];
    if (skive_tensor_count(y) == 0) return SKIVE_OK;
    permutation(c->node, x->rank, perm); /* checked by infer */
    skv_dims_strides(x->rank, x->dims, in_strides);
    skv_dims_strides(y->rank, y->dims, out_strides);
    for (int d = 0; d < y->rank; d++) from[d] = in_strides[perm[d]];
    skv_copy_strided(y->dtype, y->rank, y->dims, y->data, 0, out_strides, x->data, 0, from);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    const int rank = c->node->inputs[0]->type.rank;
    int perm[SKIVE_MAX_RANK];
    int64_t back[SKIVE_MAX_RANK] = {0};
    if (!c->need[0]) return SKIVE_OK;
    if (rank < 0 || !permutation(c->node, rank, perm)) {
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': the rank is unknown",
                           c->node->name);
    }
    for (int d = 0; d < rank; d++) back[perm[d]] = d;
    c->din[0] = skv_emit(c->b, "Transpose", SKV_IN(c->dout[0]), SKV_ATTRS(SKV_INTS("perm", back, (size_t)rank)));
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *t = skv_couple_type(c, SKV_CIN(0, 0));
    int perm[SKIVE_MAX_RANK];
    if (!t || t->rank < 0 || !permutation(skv_couple_node(c), t->rank, perm)) {
        skv_couple_fix_all(c, "Transpose");
        return;
    }
    for (int d = 0; d < t->rank; d++) skv_couple_same(c, SKV_CIN(0, perm[d]), SKV_COUT(0, d));
}

static skive_status bounds(skv_bounding *b) {
    const skive_node *n = skv_bounding_node(b);
    const int axis = skv_bound_axis(b, 0), rank = n->inputs[0]->type.rank;
    int perm[SKIVE_MAX_RANK];
    skv_range *r;
    if (axis < 0 || !permutation(n, rank, perm)) return SKIVE_OK;
    for (int d = 0; d < rank; d++) {
        const int64_t length = n->inputs[0]->type.dims[axis].size;
        if (perm[d] != axis) continue;
        SKV_TRY(skv_bound_output(b, d, length, &r));
        for (int64_t i = 0; i < length; i++) r[i] = skv_bound_at(b, 0, axis, i);
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}),
     .n_out = 1,
     CASE_EXPECT(1, 4, 2, 5, 3, 6),
     CASE_OUT(3, 2)},
    {.name = "to channels last",
     CASE_ATTRS(CASE_INTS("perm", 0, 2, 3, 1)),
     CASE_IN({CASE_F32(1, 2, 3, 2)}),
     .n_out = 1,
     CASE_OUT(1, 3, 2, 2)},
    {.name = "int64",
     CASE_IN({CASE_I64(1, 2), CASE_VALUES(7, 8)}),
     .n_out = 1,
     CASE_EXPECT(7, 8),
     CASE_OUT(2, 1),
     .no_grad = true},
};

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 1, 13, 21); }

const skv_op skv_op_transpose = {
    .name = "Transpose",
    .brief = "dimensions in another order",
    .domain = "",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = skv_range_first,
    .bounds = bounds,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
    .motion = SKV_REORDERS,
};
