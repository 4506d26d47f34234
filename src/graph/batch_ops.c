/* Where operators keep the number of samples in constants, and what takes its place. */
#include <string.h>

#include "graph/batch_rebind.h"

/* ---- constants and nodes put in ---- */

skive_status skv_rebind_add_ints(skv_rebind *r, const int64_t *numbers, int n, skive_value **out) {
    const int64_t dims = n;
    skv_storage *s = NULL;
    SKV_TRY(skv_storage_create(r->g->ctx, SKIVE_I64, 1, &dims, &s));
    if (n) memcpy(s->tensor.data, numbers, (size_t)n * sizeof *numbers);
    const skive_status status = skv_graph_new_param(r->g, NULL, s, out);
    if (status != SKIVE_OK) skv_storage_release(s);
    return status == SKIVE_OK ? skv_rebind_grow(r) : status;
}

skive_status skv_rebind_set_ints(skv_rebind *r, skive_node *n, size_t input, const int64_t *numbers, int count) {
    skive_value *v = NULL;
    SKV_TRY(skv_rebind_add_ints(r, numbers, count, &v));
    return skv_node_set_input(n, input, v);
}

skive_status skv_rebind_add_node(skv_rebind *r, const char *op, skive_value *const *inputs, size_t n_inputs,
                                 skive_value **out) {
    skive_node *node = NULL;
    SKV_TRY(skv_graph_new_value(r->g, NULL, out));
    SKV_TRY(skv_graph_new_node(r->g, op, "", NULL, inputs, n_inputs, out, 1, &node));
    SKV_TRY(skv_rebind_grow(r));
    return skv_inference_node(r->x, node);
}

int skv_rebind_read_ints(const skv_rebind *r, const skive_value *v, int64_t *out) {
    const skive_tensor *t = v ? skv_inference_known(r->x, v) : NULL;
    if (!t || t->rank > 1 || (t->dtype != SKIVE_I64 && t->dtype != SKIVE_I32)) return -1;
    const int64_t n = skive_tensor_count(t);
    if (n > SKIVE_MAX_RANK) return -1;
    for (int64_t i = 0; i < n; i++)
        out[i] = t->dtype == SKIVE_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
    return (int)n;
}

/* ---- Slice, Resize ---- */

static skive_status slice(skv_rebind *r, skive_node *n) {
    const skive_value *v = n->inputs[0];
    const int axis = skv_rebind_axis_of(r, v);
    int64_t starts[SKIVE_MAX_RANK], ends[SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK], steps[SKIVE_MAX_RANK];
    const int count = axis < 0 ? -1 : skv_rebind_read_ints(r, skv_node_in(n, 2), ends);
    if (count < 0 || skv_rebind_read_ints(r, skv_node_in(n, 1), starts) != count) return SKIVE_OK;
    for (int i = 0; i < count; i++) axes[i] = i, steps[i] = 1;
    if (skv_node_in(n, 3) && skv_rebind_read_ints(r, n->inputs[3], axes) != count) return SKIVE_OK;
    if (skv_node_in(n, 4) && skv_rebind_read_ints(r, n->inputs[4], steps) != count) return SKIVE_OK;
    const int64_t size = skv_rebind_old_of(r, v)->dims[axis].size;
    for (int i = 0; i < count; i++) {
        if ((axes[i] < 0 ? axes[i] + skv_rebind_now_of(r, v)->rank : axes[i]) != axis) continue;
        if (steps[i] != 1 || (starts[i] != 0 && starts[i] > -size) || ends[i] < size)
            return SKIVE_OK; /* it takes some out */
        ends[i] = INT64_MAX;
        return skv_rebind_set_ints(r, n, 2, ends, count);
    }
    return SKIVE_OK;
}

static skive_status resize(skv_rebind *r, skive_node *n) {
    const skive_value *v = n->inputs[0];
    const int axis = skv_rebind_axis_of(r, v);
    int64_t sizes[SKIVE_MAX_RANK];
    size_t n_axes = 0;
    const int rank = axis < 0 ? -1 : skv_rebind_read_ints(r, skv_node_in(n, 3), sizes);
    if (rank != skv_rebind_now_of(r, v)->rank || skv_attr_ints(n, "axes", &n_axes) ||
        sizes[axis] != skv_rebind_old_of(r, v)->dims[axis].size)
        return SKIVE_OK;
    sizes[axis] = skv_rebind_now_of(r, v)->dims[axis].size;
    return skv_rebind_set_ints(r, n, 3, sizes, rank);
}

/* ---- Gather ---- */

/* Places in the elements of all samples one after another, as exporters write as_strided: those of the first sample
 * are found again in each, `each` elements further on. false: they are not. */
static bool places_by_sample(const skive_tensor *t, int axis, int64_t was, int64_t each, int64_t *first) {
    int64_t inner = 1;
    for (int d = axis + 1; d < t->rank; d++) inner *= t->dims[d];
    for (int64_t i = 0; i < skive_tensor_count(t); i++) {
        const int64_t sample = i / inner % was, at = i / (inner * was) * inner + i % inner;
        int64_t place = t->dtype == SKIVE_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
        if (place < 0) place += was * each;
        place -= sample * each;
        if (place < 0 || place >= each) return false;
        if (sample == 0) first[at] = place;
        if (place != first[at]) return false;
    }
    return true;
}

static skive_status gather_places(skv_rebind *r, skive_node *n, const skive_tensor *t, int axis, int64_t each,
                                  const int64_t *first) {
    int64_t dims[SKIVE_MAX_RANK], inner = 1;
    skv_storage *s = NULL;
    skive_value *v = NULL;
    memcpy(dims, t->dims, sizeof dims);
    dims[axis] = r->batch;
    for (int d = axis + 1; d < t->rank; d++) inner *= dims[d];
    SKV_TRY(skv_storage_create(r->g->ctx, SKIVE_I64, t->rank, dims, &s));
    int64_t *places = s->tensor.data;
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++)
        places[i] = i / inner % r->batch * each + first[i / (inner * r->batch) * inner + i % inner];
    const skive_status status = skv_graph_new_param(r->g, NULL, s, &v);
    if (status != SKIVE_OK) {
        skv_storage_release(s);
        return status;
    }
    SKV_TRY(skv_rebind_grow(r));
    return skv_node_set_input(n, 1, v);
}

static skive_status gather(skv_rebind *r, skive_node *n) {
    const skive_value *v = n->inputs[0];
    const skive_tensor *t = skv_node_in(n, 1) ? skv_inference_known(r->x, n->inputs[1]) : NULL;
    const skive_type *x = skv_rebind_old_of(r, v);
    int axis = 0;
    if (skv_rebind_axis_of(r, v) != 0 || x->rank != 1 || r->outer[v->id] != 1 || !t || t->rank < 1) return SKIVE_OK;
    if (t->dtype != SKIVE_I64 && t->dtype != SKIVE_I32) return SKIVE_OK;
    while (axis < t->rank && t->dims[axis] != r->was) axis++;
    if (axis == t->rank || x->dims[0].size % r->was != 0) return SKIVE_OK;
    const int64_t each = x->dims[0].size / r->was;
    int64_t *first = NULL;
    SKV_TRY(skv_alloc_array(r->g->ctx, (size_t)(skive_tensor_count(t) / r->was) + 1, sizeof *first, &first));
    skive_status status = SKIVE_OK;
    if (places_by_sample(t, axis, r->was, each, first)) status = gather_places(r, n, t, axis, each, first);
    skv_free(r->g->ctx, first);
    return status;
}

static skive_status expand(skv_rebind *r, skive_node *n) {
    const skive_value *v = n->inputs[0];
    const skive_type *x = skv_rebind_now_of(r, v);
    const int axis = skv_rebind_axis_of(r, v);
    int64_t shape[SKIVE_MAX_RANK];
    const int rank = skv_rebind_read_ints(r, skv_node_in(n, 1), shape);
    if (rank < 0 || x->rank < 0) return SKIVE_OK;
    /* A row for each of the old samples, where the shape counts the new ones. */
    for (int d = 0; axis < 0 && r->was > 1 && d < x->rank; d++) {
        const int at = d + rank - x->rank;
        if (at >= 0 && shape[at] == r->batch && x->dims[d].size == r->was) return skv_rebind_one_row(r, n, 0, d);
    }
    const int at = axis + rank - x->rank;
    if (axis < 0 || at < 0 || shape[at] == 1 || shape[at] != skv_rebind_old_of(r, v)->dims[axis].size) return SKIVE_OK;
    shape[at] = 1; /* the input has them all */
    return skv_rebind_set_ints(r, n, 1, shape, rank);
}

static skive_status concat(skv_rebind *r, skive_node *n) {
    int batch_axis = -1, rank = 0;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (skv_rebind_axis_of(r, n->inputs[i]) < 0) continue;
        batch_axis = skv_rebind_axis_of(r, n->inputs[i]);
        rank = skv_rebind_now_of(r, n->inputs[i])->rank;
    }
    if (batch_axis < 0) return SKIVE_OK;
    const int64_t along = skv_attr_int(n, "axis", 0);
    if ((along < 0 ? along + rank : along) == batch_axis)
        return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name, "node '%s' (Concat) adds to the samples of a batch",
                           n->name);
    for (uint32_t i = 0; i < n->n_inputs; i++) SKV_TRY(skv_rebind_row_for_each(r, n, i, batch_axis));
    return SKIVE_OK;
}

static skive_status recurrent(skv_rebind *r, skive_node *n) {
    const int axis = skv_attr_int(n, "layout", 0) ? 0 : 1;
    if (skv_rebind_axis_of(r, n->inputs[0]) < 0) return SKIVE_OK;
    if (skv_rebind_axis_of(r, n->inputs[0]) != axis)
        return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name,
                           "node '%s' (%s) uses the input's first axis as the steps of one sequence, not as samples",
                           n->name, n->op_type);
    SKV_TRY(skv_rebind_row_for_each(r, n, 4, 0));
    SKV_TRY(skv_rebind_row_for_each(r, n, 5, axis));
    return skv_rebind_row_for_each(r, n, 6, axis);
}

/* Broadcasting takes one row; it does not take as many as there were. Of a product, that is said of the sum behind it
 * (Gemm), or of what lies before the matrices (MatMul): the rows and columns of weights may be as many as the samples
 * by chance. */
static skive_status broadcast(skv_rebind *r, skive_node *n) {
    const bool gemm = skv_node_is(n, SKV_OP_GEMM), matrices = skv_node_is(n, SKV_OP_MAT_MUL);
    int from_right = 0;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const int axis = skv_rebind_axis_of(r, n->inputs[i]);
        if (axis >= 0) from_right = skv_rebind_now_of(r, n->inputs[i])->rank - axis;
    }
    for (uint32_t i = gemm ? 2 : 0; r->was > 1 && from_right > (matrices ? 2 : 0) && i < n->n_inputs; i++) {
        const skive_value *v = n->inputs[i];
        if (!v || skv_rebind_axis_of(r, v) >= 0) continue;
        const int axis = skv_rebind_now_of(r, v)->rank - from_right;
        if (axis >= 0 && skv_rebind_now_of(r, v)->dims[axis].size == r->was) SKV_TRY(skv_rebind_one_row(r, n, i, axis));
    }
    return SKIVE_OK;
}

/* ---- operators that look along an axis ---- */

static skive_status along_axis(const skv_rebind *r, const skive_node *n, int64_t fallback) {
    const int axis = skv_rebind_axis_of(r, n->inputs[0]), rank = skv_rebind_now_of(r, n->inputs[0])->rank;
    const int64_t along = skv_attr_int(n, "axis", fallback);
    if (axis < 0 || (along < 0 ? along + rank : along) != axis) return SKIVE_OK;
    return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name, "node '%s' (%s) operates along the batch axis", n->name,
                       n->op_type);
}

typedef enum how { RESHAPE, EXPAND, SLICE, RESIZE, CONCAT, RECURRENT, BROADCAST, ALONG, GATHER } how;
static const struct {
    skv_op_kind op;
    how how;
} table[] = {
    {SKV_OP_RESHAPE, RESHAPE},
    {SKV_OP_EXPAND, EXPAND},
    {SKV_OP_SLICE, SLICE},
    {SKV_OP_RESIZE, RESIZE},
    {SKV_OP_CONCAT, CONCAT},
    {SKV_OP_LSTM, RECURRENT},
    {SKV_OP_GRU, RECURRENT},
    {SKV_OP_RNN, RECURRENT},
    {SKV_OP_ADD, BROADCAST},
    {SKV_OP_SUB, BROADCAST},
    {SKV_OP_MUL, BROADCAST},
    {SKV_OP_DIV, BROADCAST},
    {SKV_OP_POW, BROADCAST},
    {SKV_OP_MOD, BROADCAST},
    {SKV_OP_MIN, BROADCAST},
    {SKV_OP_MAX, BROADCAST},
    {SKV_OP_SUM, BROADCAST},
    {SKV_OP_MEAN, BROADCAST},
    {SKV_OP_WHERE, BROADCAST},
    {SKV_OP_AND, BROADCAST},
    {SKV_OP_OR, BROADCAST},
    {SKV_OP_XOR, BROADCAST},
    {SKV_OP_EQUAL, BROADCAST},
    {SKV_OP_GREATER, BROADCAST},
    {SKV_OP_LESS, BROADCAST},
    {SKV_OP_GREATER_OR_EQUAL, BROADCAST},
    {SKV_OP_LESS_OR_EQUAL, BROADCAST},
    {SKV_OP_PRELU, BROADCAST},
    {SKV_OP_MAT_MUL, BROADCAST},
    {SKV_OP_GEMM, BROADCAST},
    {SKV_OP_SOFTMAX, ALONG},
    {SKV_OP_LOG_SOFTMAX, ALONG},
    {SKV_OP_HARDMAX, ALONG},
    {SKV_OP_GATHER, GATHER},
};

skive_status skv_rebind_node(skv_rebind *r, skive_node *n, int64_t *outer_out) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!skv_node_is(n, table[i].op) || n->n_inputs == 0 || !n->inputs[0]) continue;
        switch (table[i].how) {
        case RESHAPE: return skv_rebind_reshape(r, n, outer_out);
        case EXPAND: return expand(r, n);
        case SLICE: return slice(r, n);
        case RESIZE: return resize(r, n);
        case CONCAT: return concat(r, n);
        case RECURRENT: return recurrent(r, n);
        case BROADCAST: return broadcast(r, n);
        case GATHER: return gather(r, n);
        case ALONG: return along_axis(r, n, -1);
        }
    }
    return SKIVE_OK;
}
