/* Shared by the reductions. */
#include "ops/reduce/common_reduce.h"

const skv_attr_spec skv_reduce_attrs[2] = {{"keepdims", SKV_ATTR_INT, SKV_OPTIONAL},
                                           {"noop_with_empty_axes", SKV_ATTR_INT, SKV_OPTIONAL}};

bool skv_reduce_axes(const skive_node *n, const skive_tensor *axes, int rank, uint32_t *mask) {
    int64_t list[SKIVE_MAX_RANK];
    int count = 0;
    if (axes) {
        count = skv_read_ints(axes, list, SKIVE_MAX_RANK);
        if (count < 0 || !skv_axes_mask(list, count, rank, mask)) return false;
    }
    if (count == 0) *mask = skv_attr_int(n, "noop_with_empty_axes", 0) ? 0 : (1u << rank) - 1u;
    return true;
}

skive_status skv_reduce_infer_ordered(skv_infer *c) {
    const skive_type *x = c->in[0];
    skive_type *y = &c->out[0];
    const bool keep = skv_attr_int(c->node, "keepdims", 1) != 0, given = c->n_in > 1 && c->in[1];
    uint32_t mask;
    if (x->dtype != SKIVE_BOOL) SKV_TRY(skv_infer_want_numeric(c, 0));
    y->dtype = x->dtype;
    if (x->rank < 0) return SKIVE_OK;
    if (given && !c->constant[1]) {
        if (!keep) return SKIVE_OK;
        y->rank = x->rank;
        for (int d = 0; d < x->rank; d++) y->dims[d] = skv_dim_unknown();
        return SKIVE_OK;
    }
    if (!skv_reduce_axes(c->node, given ? c->constant[1] : NULL, x->rank, &mask)) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': an axis is outside an input of rank %d, or given twice",
                              c->node->name, x->rank);
    }
    y->rank = 0;
    for (int d = 0; d < x->rank; d++) {
        if (!(mask >> d & 1u))
            y->dims[y->rank++] = x->dims[d];
        else if (keep)
            y->dims[y->rank++] = skv_dim(1);
    }
    return SKIVE_OK;
}

skive_status skv_reduce_want_cells(skv_infer *c, size_t i) {
    const skive_type *t = skv_infer_in(c, i), *x = skv_infer_in(c, 1);
    SKV_TRY(skv_infer_want_float(c, 1));
    SKV_TRY(skv_infer_one_type(c, 1, i));
    bool fits = t->rank < 0 || x->rank < 0 || t->rank == x->rank;
    for (int d = 0; fits && d < t->rank && d < x->rank; d++) {
        const int64_t have = t->dims[d].size, of = x->dims[d].size;
        fits = have == 1 || have < 0 || of < 0 || have == of;
    }
    if (fits) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "input %zu does not have the shape of the reduced input", i);
}

skive_status skv_reduce_infer(skv_infer *c) {
    SKV_TRY(skv_infer_want_numeric(c, 0));
    return skv_reduce_infer_ordered(c);
}

/* A sum being folded. */
typedef union cell {
    double real;
    int64_t whole;
} cell;

/* uint64 in the order of int64. */
static int64_t ordered_bits(const skv_reducer *r, skive_dtype t, int64_t bits) {
    return r->ordered && t == SKIVE_U64 ? (int64_t)((uint64_t)bits ^ (1ull << 63)) : bits;
}

static void store_cell(const skv_reducer *r, const skive_tensor *y, int64_t i, bool whole, cell sum, int64_t n) {
    if (!whole) {
        const double v = r->finish ? r->finish(sum.real, (double)n) : sum.real;
        skv_store_f64(y->dtype, y->data, (size_t)i,
                      skv_dtype_is_float(y->dtype) ? v : trunc(v)); /* a root, a logarithm */
        return;
    }
    const int64_t v = ordered_bits(r, y->dtype, r->whole_finish ? r->whole_finish(sum.whole, n) : sum.whole);
    if (y->dtype == SKIVE_BOOL)
        ((uint8_t *)y->data)[i] = v > 0;
    else if (r->ordered && y->dtype != SKIVE_U64)
        skv_store_i64(y->dtype, y->data, (size_t)i, v); /* the start of an empty cell is the type's own limit */
    else
        skv_store_wrap(y->dtype, y->data, (size_t)i, v);
}

skive_status skv_reduce_run(const skv_eval *c, const skv_reducer *r) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t n = skive_tensor_count(x), m = skive_tensor_count(y);
    const bool whole = r->whole && !skv_dtype_is_float(x->dtype);
    int64_t step[SKIVE_MAX_RANK], index[SKIVE_MAX_RANK] = {0}, at = 0, stride = 1;
    uint32_t mask;
    cell *sum = NULL;
    if (!skv_reduce_axes(c->node, c->n_in > 1 ? c->in[1] : NULL, x->rank, &mask)) {
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': the axes do not match the input",
                           c->node->name);
    }
    for (int d = x->rank - 1; d >= 0; d--) {
        step[d] = mask >> d & 1u ? 0 : stride;
        if (step[d]) stride *= x->dims[d];
    }
    if (stride != m || x->dtype != y->dtype) {
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "node '%s': the result does not have the planned shape", c->node->name);
    }
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)m, sizeof *sum, &sum));
    for (int64_t i = 0; i < m; i++) {
        if (whole)
            sum[i].whole = r->whole_start;
        else
            sum[i].real = r->start;
    }
    for (int64_t i = 0; i < n; i++) {
        if (whole)
            sum[at].whole =
                r->whole(sum[at].whole, ordered_bits(r, x->dtype, skv_load_bits(x->dtype, x->data, (size_t)i)));
        else
            sum[at].real = r->step(sum[at].real, skv_load_f64(x->dtype, x->data, (size_t)i));
        for (int d = x->rank - 1; d >= 0; d--) {
            at += step[d];
            if (++index[d] < x->dims[d]) break;
            at -= step[d] * x->dims[d];
            index[d] = 0;
        }
    }
    for (int64_t i = 0; i < m; i++) store_cell(r, y, i, whole, sum[i], m > 0 ? n / m : 0);
    skv_free(c->ctx, sum);
    return SKIVE_OK;
}

static void couple_reduced(skv_couple *c, bool mixes) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    const bool keep = skv_attr_int(n, "keepdims", 1) != 0;
    uint32_t mask;
    if (!x || x->rank < 0 || (skv_node_in(n, 1) && !skv_node_constant(n, 1)) ||
        !skv_reduce_axes(n, skv_node_constant(n, 1), x->rank, &mask)) {
        skv_couple_fix_all(c, "it is reduced over computed axes");
        return;
    }
    for (int d = 0, to = 0; d < x->rank; d++) {
        if (mask >> d & 1u) {
            skv_couple_free(c, SKV_CIN(0, d));
            if (mixes) skv_couple_mixes(c, SKV_CIN(0, d), "a reduction is over this axis");
            to += keep;
        } else {
            skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, to++));
        }
    }
}

void skv_reduce_couple(skv_couple *c) { couple_reduced(c, true); }
void skv_reduce_couple_sum(skv_couple *c) { couple_reduced(c, false); }

void skv_reduce_cost(const skive_node *n, skive_cost *cost) {
    const int64_t count = n->inputs[0] ? skv_type_count(&n->inputs[0]->type) : 0;
    cost->operations = skv_add_sat(cost->operations, count);
}

skive_status skv_reduce_import_13(skive_graph *g, skive_node *n, int from) {
    return from < 13 ? skv_import_ints(g, n, "axes", 1) : SKIVE_OK;
}

skive_status skv_reduce_import_18(skive_graph *g, skive_node *n, int from) {
    return from < 18 ? skv_import_ints(g, n, "axes", 1) : SKIVE_OK;
}

skive_value *skv_reduce_keep(skv_grad *c, skive_value *v) {
    const skive_node *n = c->node;
    const int rank = n->inputs[0]->type.rank;
    uint32_t mask = 0;
    int64_t axes[SKIVE_MAX_RANK];
    size_t count = 0;
    if (skv_attr_int(n, "keepdims", 1) != 0 || c->b->status != SKIVE_OK) return v;
    if (rank < 0 || (skv_node_in(n, 1) && !skv_node_constant(n, 1)) ||
        !skv_reduce_axes(n, skv_node_constant(n, 1), rank, &mask)) {
        c->b->status =
            skv_fail_at(c->b->graph->ctx, SKIVE_ERR_SHAPE, n->name, "node '%s': the reduced axes are unknown", n->name);
        return NULL;
    }
    for (int d = 0; d < rank; d++) {
        if (mask >> d & 1u) axes[count++] = d;
    }
    if (count == 0) return v;
    return skv_emit(c->b, "Unsqueeze", SKV_IN(v, skv_emit_ints(c->b, axes, count)), SKV_NONE);
}

skive_value *skv_reduce_expand(skv_grad *c, skive_value *v) {
    skive_value *shape = skv_emit(c->b, "Shape", SKV_IN(c->node->inputs[0]), SKV_NONE);
    return skv_emit(c->b, "Expand", SKV_IN(skv_reduce_keep(c, v), shape), SKV_NONE);
}
