/* Constants that hold something for each sample of the old batch. */
#include <string.h>

#include "graph/batch_rebind.h"
#include "graph/op.h"

/* What a value that no sample reaches is: a parameter, or computed from parameters. */
typedef struct constant {
    skive_tensor tensor;
    bool owned;
} constant;

enum { MOST_NODES = 64, MOST_LEVELS = 6, MOST_ELEMENTS = 1 << 24 };

/* Rows that are to stay the same for all samples are not trained: a parameter with one for each is no weight. */
static void freeze_rows(const skv_rebind *r, skive_value *v) {
    for (int d = 0; v->trainable && d < v->type.rank; d++) {
        if (v->type.dims[d].size == r->was) v->trainable = false;
    }
}

/* *known false: it cannot be worked out, or costs too much. */
static skive_status work_out(const skv_rebind *r, const skive_value *v, int *budget, constant *out, bool *known) {
    const skive_tensor *t = skv_inference_known(r->x, v);
    const skive_node *n = v->producer;
    constant *in = NULL;
    const skive_tensor **tensors = NULL;
    skive_tensor *results = NULL;
    skive_status status = SKIVE_OK;
    *out = (constant){0};
    *known = t != NULL;
    if (t) out->tensor = *t;
    if (t || !n || !n->op || !n->op->run || n->op->random || skv_rebind_axis_of(r, v) >= 0 || --*budget < 0 ||
        !skv_type_is_static(skv_rebind_now_of(r, v)) || skv_type_count(skv_rebind_now_of(r, v)) > MOST_ELEMENTS)
        return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(r->g->ctx, (size_t)n->n_inputs + 1, sizeof *in, &in));
    SKV_GO(status, done, skv_alloc_array(r->g->ctx, (size_t)n->n_inputs + 1, sizeof *tensors, &tensors));
    SKV_GO(status, done, skv_alloc_array(r->g->ctx, (size_t)n->n_outputs + 1, sizeof *results, &results));
    bool all = true;
    for (uint32_t i = 0; all && i < n->n_inputs; i++) {
        if (!n->inputs[i]) continue;
        SKV_GO(status, done, work_out(r, n->inputs[i], budget, &in[i], &all));
        tensors[i] = &in[i].tensor;
    }
    if (!all) goto done;
    SKV_GO(status, done, skv_op_evaluate(r->g->ctx, n, tensors, n->n_inputs, results, n->n_outputs));
    out->tensor = results[v->producer_index];
    out->owned = *known = true;
    results[v->producer_index] = (skive_tensor){0};
done:
    for (uint32_t i = 0; in && i < n->n_inputs; i++) {
        if (in[i].owned) skive_tensor_free(r->g->ctx, &in[i].tensor);
    }
    for (uint32_t i = 0; results && i < n->n_outputs; i++) skive_tensor_free(r->g->ctx, &results[i]);
    skv_free(r->g->ctx, in);
    skv_free(r->g->ctx, tensors);
    skv_free(r->g->ctx, results);
    return status;
}

static bool same_rows(const skive_tensor *t, int axis) {
    const int64_t rows = t->dims[axis];
    size_t outer = 1, bytes = (size_t)skive_dtype_bits(t->dtype) / 8;
    if (skive_dtype_bits(t->dtype) % 8 != 0) return false;
    for (int d = 0; d < axis; d++) outer *= (size_t)t->dims[d];
    for (int d = axis + 1; d < t->rank; d++) bytes *= (size_t)t->dims[d];
    for (size_t o = 0; o < outer; o++) {
        const char *first = (const char *)t->data + o * (size_t)rows * bytes;
        for (int64_t i = 1; i < rows; i++) {
            if (memcmp(first, first + (size_t)i * bytes, bytes) != 0) return false;
        }
    }
    return true;
}

/* Are the rows along `axis` the same? */
static skive_status rows_alike(const skv_rebind *r, const skive_value *v, int axis, bool *alike) {
    constant c;
    int budget = MOST_NODES;
    SKV_TRY(work_out(r, v, &budget, &c, alike));
    *alike = *alike && c.tensor.data && axis < c.tensor.rank && same_rows(&c.tensor, axis);
    if (c.owned) skive_tensor_free(r->g->ctx, &c.tensor);
    return SKIVE_OK;
}

static void freeze_above(const skv_rebind *r, skive_value *v, int levels) {
    freeze_rows(r, v);
    for (uint32_t i = 0; levels > 0 && v->producer && i < v->producer->n_inputs; i++) {
        if (v->producer->inputs[i]) freeze_above(r, v->producer->inputs[i], levels - 1);
    }
}

skive_status skv_rebind_one_row(skv_rebind *r, skive_node *n, size_t input, int axis) {
    skive_value *v = n->inputs[input], *in[4] = {v}, *cut = NULL;
    const int64_t zero = 0, one = 1, at = axis;
    if (r->was == 1) return SKIVE_OK;
    bool alike;
    SKV_TRY(rows_alike(r, v, axis, &alike));
    if (!alike)
        return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name,
                           "node '%s' (%s): '%s' has different values for each of %lld samples", n->name, n->op_type,
                           v->name, (long long)r->was);
    SKV_TRY(skv_rebind_add_ints(r, &zero, 1, &in[1]));
    SKV_TRY(skv_rebind_add_ints(r, &one, 1, &in[2]));
    SKV_TRY(skv_rebind_add_ints(r, &at, 1, &in[3]));
    SKV_TRY(skv_rebind_add_node(r, "Slice", in, 4, &cut));
    freeze_above(r, v, MOST_LEVELS);
    return skv_node_set_input(n, input, cut);
}

skive_status skv_rebind_row_for_each(skv_rebind *r, skive_node *n, size_t input, int axis) {
    skive_value *v = skv_node_in(n, input), *in[2] = {NULL}, *wide = NULL;
    int64_t dims[SKIVE_MAX_RANK];
    if (!v || skv_rebind_axis_of(r, v) >= 0) return SKIVE_OK;
    const skive_type *t = skv_rebind_now_of(r, v);
    if (!skv_type_is_static(t) || axis >= t->rank || t->dims[axis].size != r->was) return SKIVE_OK;
    const int rank = t->rank;
    for (int d = 0; d < rank; d++) dims[d] = d == axis ? r->batch : t->dims[d].size;
    SKV_TRY(skv_rebind_one_row(r, n, input, axis));
    in[0] = n->inputs[input];
    SKV_TRY(skv_rebind_add_ints(r, dims, rank, &in[1]));
    SKV_TRY(skv_rebind_add_node(r, "Expand", in, 2, &wide));
    return skv_node_set_input(n, input, wide);
}
