/* Where operators keep the number of samples in constants, and what takes its place. */
#include <string.h>

#include "graph/batch.h"
#include "graph/internal.h"
#include "ops/op.h"

static const skive_type *now_of(const skv_rebind *r, const skive_value *v) { return &r->x->types[v->id]; }
static const skive_type *old_of(const skv_rebind *r, const skive_value *v) {
    return v->id < r->n_old ? &r->old[v->id] : now_of(r, v);
}
static int axis_of(const skv_rebind *r, const skive_value *v) { return v ? r->axis[v->id] : -1; }

/* ---- constants and nodes put in ---- */

static skive_status add_ints(skv_rebind *r, const int64_t *numbers, int n, skive_value **out) {
    const int64_t dims = n;
    skv_storage *s = NULL;
    SKV_TRY(skv_storage_create(r->g->ctx, SKIVE_I64, 1, &dims, &s));
    if (n) memcpy(s->tensor.data, numbers, (size_t)n * sizeof *numbers);
    const skive_status status = skv_graph_new_param(r->g, NULL, s, out);
    if (status != SKIVE_OK) skv_storage_release(s);
    return status == SKIVE_OK ? skv_rebind_grow(r) : status;
}

static skive_status set_ints(skv_rebind *r, skive_node *n, size_t input, const int64_t *numbers, int count) {
    skive_value *v = NULL;
    SKV_TRY(add_ints(r, numbers, count, &v));
    return skv_node_set_input(n, input, v);
}

static skive_status add_node(skv_rebind *r, const char *op, skive_value *const *inputs, size_t n_inputs,
                             skive_value **out) {
    skive_node *node = NULL;
    SKV_TRY(skv_graph_new_value(r->g, NULL, out));
    SKV_TRY(skv_graph_new_node(r->g, op, "", NULL, inputs, n_inputs, out, 1, &node));
    SKV_TRY(skv_rebind_grow(r));
    return skv_inference_node(r->x, node);
}

/* Numbers of a known integer list; -1 when it is none. */
static int read_ints(const skv_rebind *r, const skive_value *v, int64_t *out) {
    const skive_tensor *t = v ? skv_inference_known(r->x, v) : NULL;
    if (!t || t->rank > 1 || (t->dtype != SKIVE_I64 && t->dtype != SKIVE_I32)) return -1;
    const int64_t n = skive_tensor_count(t);
    if (n > SKIVE_MAX_RANK) return -1;
    for (int64_t i = 0; i < n; i++)
        out[i] = t->dtype == SKIVE_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
    return (int)n;
}

/* ---- Reshape ---- */

typedef struct reading {
    int axis;      /* of the result: where the samples are */
    int64_t outer; /* runs over them in it */
} reading;

static int64_t product(const skive_type *t, int from, int to) {
    int64_t p = 1;
    for (int d = from; d < to; d++) p *= t->dims[d].size;
    return p;
}

/* A reshape keeps the order of elements, so the samples stay at the same distance from the first element: the axes of the result at
 * which they can be. */
static int readings_of(const skv_rebind *r, const skive_type *x, int axis, int64_t outer, const skive_type *y,
                       reading *out) {
    const int64_t before = product(x, 0, axis) * outer;
    int n = 0;
    for (int d = 0; d < y->rank; d++) {
        const int64_t p = product(y, 0, d), size = y->dims[d].size;
        if (p < 1 || before % p != 0) continue;
        const int64_t runs = before / p;
        if (runs < 1 || size % runs != 0 || size / runs % r->was != 0) continue;
        out[n++] = (reading){d, runs};
    }
    return n;
}

/* The shape a Reshape asks for now, or false. */
static bool asked_shape(const skive_node *n, const skive_type *x, const int64_t *shape, int rank, int64_t *out) {
    int64_t known = 1;
    int open = -1;
    for (int d = 0; d < rank; d++) {
        out[d] = shape[d];
        if (shape[d] == 0 && !skv_attr_int(n, "allowzero", 0)) {
            if (d >= x->rank) return false;
            out[d] = x->dims[d].size;
        }
        if (out[d] < 0) {
            if (open >= 0) return false;
            open = d;
        } else {
            known *= out[d];
        }
    }
    const int64_t all = product(x, 0, x->rank);
    if (open < 0) return known == all;
    if (known == 0 || all % known != 0) return false;
    out[open] = all / known;
    return true;
}

/* The likeliest first: where the shape spells the batch out, what the shape gives by itself, the same axis behind the same sizes. */
static int rank_of(const skv_rebind *r, const reading *w, const skive_type *x, int axis, const skive_type *y,
                   const int64_t *shape, const int64_t *asked) {
    bool same = w->axis == axis, gives = asked != NULL;
    for (int d = 0; d < w->axis && d < x->rank; d++) same = same && x->dims[d].size == y->dims[d].size;
    for (int d = 0; gives && d < y->rank; d++)
        gives = asked[d] == (d == w->axis ? y->dims[d].size / r->was * r->batch : y->dims[d].size);
    const bool spelt = w->outer == 1 && shape[w->axis] == r->was && y->dims[w->axis].size == r->was;
    return (spelt ? 0 : gives ? 2 : 4) + (same ? 0 : 1);
}

static skive_status choose(skv_rebind *r, int n, int *out) {
    *out = 0;
    if (n < 2) return SKIVE_OK;
    if (r->at == r->n_choices) {
        if (r->n_choices == r->choices_capacity) {
            const size_t capacity = 2 * r->choices_capacity + 64;
            skv_choice *more = NULL;
            SKV_TRY(skv_alloc_array(r->g->ctx, capacity, sizeof *more, &more));
            if (r->n_choices) memcpy(more, r->choices, r->n_choices * sizeof *more);
            skv_free(r->g->ctx, r->choices);
            r->choices = more;
            r->choices_capacity = capacity;
        }
        r->choices[r->n_choices++] = (skv_choice){0, (uint8_t)n};
    }
    *out = r->choices[r->at++].taken;
    return SKIVE_OK;
}

static skive_status reshape(skv_rebind *r, skive_node *n, int64_t *outer_out) {
    const skive_value *v = skv_node_in(n, 0);
    const int axis = axis_of(r, v);
    const skive_type *x = axis < 0 ? NULL : old_of(r, v), *y = &r->old[n->outputs[0]->id];
    int64_t shape[SKIVE_MAX_RANK], asked[SKIVE_MAX_RANK];
    reading all[SKIVE_MAX_RANK];
    if (!x || !skv_type_is_static(x) || !skv_type_is_static(y)) return SKIVE_OK;
    const int rank = read_ints(r, skv_node_in(n, 1), shape);
    if (rank < 0) return SKIVE_OK;
    const int n_all = readings_of(r, x, axis, r->outer[v->id], y, all);
    if (n_all == 0 || rank != y->rank)
        return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name,
                           "node '%s' (Reshape) puts elements of several samples into one", n->name);
    const bool works = asked_shape(n, now_of(r, v), shape, rank, asked);
    const skive_type *x_now = now_of(r, v);
    for (int i = 1; i < n_all; i++) { /* by rank, stable */
        const reading w = all[i];
        int k = i;
        const int rank_w = rank_of(r, &w, x_now, axis, y, shape, works ? asked : NULL);
        for (; k > 0 && rank_of(r, &all[k - 1], x_now, axis, y, shape, works ? asked : NULL) > rank_w; k--)
            all[k] = all[k - 1];
        all[k] = w;
    }
    int taken;
    SKV_TRY(choose(r, n_all, &taken));
    const reading *w = &all[taken];
    bool as_asked = works;
    *outer_out = w->outer;
    for (int d = 0; d < rank; d++) {
        const int64_t wanted = d == w->axis ? y->dims[d].size / r->was * r->batch : y->dims[d].size;
        as_asked = as_asked && asked[d] == wanted;
        shape[d] = wanted;
    }
    return as_asked ? SKIVE_OK : set_ints(r, n, 1, shape, rank);
}

/* ---- Slice, Resize ---- */

static skive_status slice(skv_rebind *r, skive_node *n) {
    const skive_value *v = n->inputs[0];
    const int axis = axis_of(r, v);
    int64_t starts[SKIVE_MAX_RANK], ends[SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK], steps[SKIVE_MAX_RANK];
    const int count = axis < 0 ? -1 : read_ints(r, skv_node_in(n, 2), ends);
    if (count < 0 || read_ints(r, skv_node_in(n, 1), starts) != count) return SKIVE_OK;
    for (int i = 0; i < count; i++) axes[i] = i, steps[i] = 1;
    if (skv_node_in(n, 3) && read_ints(r, n->inputs[3], axes) != count) return SKIVE_OK;
    if (skv_node_in(n, 4) && read_ints(r, n->inputs[4], steps) != count) return SKIVE_OK;
    const int64_t size = old_of(r, v)->dims[axis].size;
    for (int i = 0; i < count; i++) {
        if ((axes[i] < 0 ? axes[i] + now_of(r, v)->rank : axes[i]) != axis) continue;
        if (steps[i] != 1 || (starts[i] != 0 && starts[i] > -size) || ends[i] < size)
            return SKIVE_OK; /* it takes some out */
        ends[i] = INT64_MAX;
        return set_ints(r, n, 2, ends, count);
    }
    return SKIVE_OK;
}

static skive_status resize(skv_rebind *r, skive_node *n) {
    const skive_value *v = n->inputs[0];
    const int axis = axis_of(r, v);
    int64_t sizes[SKIVE_MAX_RANK];
    size_t n_axes = 0;
    const int rank = axis < 0 ? -1 : read_ints(r, skv_node_in(n, 3), sizes);
    if (rank != now_of(r, v)->rank || skv_attr_ints(n, "axes", &n_axes) || sizes[axis] != old_of(r, v)->dims[axis].size)
        return SKIVE_OK;
    sizes[axis] = now_of(r, v)->dims[axis].size;
    return set_ints(r, n, 3, sizes, rank);
}

/* ---- Gather ---- */

/* Places in the elements of all samples one after another, as exporters write as_strided: those of the first sample are found again in
 * each, `each` elements further on. false: they are not. */
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
    const skive_type *x = old_of(r, v);
    int axis = 0;
    if (axis_of(r, v) != 0 || x->rank != 1 || r->outer[v->id] != 1 || !t || t->rank < 1) return SKIVE_OK;
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

/* ---- constants that hold something for each sample ---- */

/* What a value that no sample reaches is: a parameter, or computed from parameters. */
typedef struct constant {
    skive_tensor tensor;
    bool owned;
} constant;

enum { MOST_NODES = 64, MOST_ELEMENTS = 1 << 24 };

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
    if (t || !n || !n->op || !n->op->run || n->op->random || axis_of(r, v) >= 0 || --*budget < 0 ||
        !skv_type_is_static(now_of(r, v)) || skv_type_count(now_of(r, v)) > MOST_ELEMENTS)
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

static void freeze_above(const skv_rebind *r, skive_value *v, int depth) {
    freeze_rows(r, v);
    for (uint32_t i = 0; depth > 0 && v->producer && i < v->producer->n_inputs; i++) {
        if (v->producer->inputs[i]) freeze_above(r, v->producer->inputs[i], depth / 2);
    }
}

/* Input `input` is not computed from the samples and has one row for each along `axis`: one row for all is left. */
static skive_status one_row(skv_rebind *r, skive_node *n, size_t input, int axis) {
    skive_value *v = n->inputs[input], *in[4] = {v}, *cut = NULL;
    const int64_t zero = 0, one = 1, at = axis;
    if (r->was == 1) return SKIVE_OK;
    bool alike;
    SKV_TRY(rows_alike(r, v, axis, &alike));
    if (!alike)
        return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name,
                           "node '%s' (%s): '%s' holds something else for each of %lld samples", n->name, n->op_type,
                           v->name, (long long)r->was);
    SKV_TRY(add_ints(r, &zero, 1, &in[1]));
    SKV_TRY(add_ints(r, &one, 1, &in[2]));
    SKV_TRY(add_ints(r, &at, 1, &in[3]));
    SKV_TRY(add_node(r, "Slice", in, 4, &cut));
    freeze_above(r, v, MOST_NODES);
    return skv_node_set_input(n, input, cut);
}

static skive_status expand(skv_rebind *r, skive_node *n) {
    const skive_value *v = n->inputs[0];
    const skive_type *x = now_of(r, v);
    const int axis = axis_of(r, v);
    int64_t shape[SKIVE_MAX_RANK];
    const int rank = read_ints(r, skv_node_in(n, 1), shape);
    if (rank < 0 || x->rank < 0) return SKIVE_OK;
    /* A row for each of the old samples, where the shape counts the new ones. */
    for (int d = 0; axis < 0 && r->was > 1 && d < x->rank; d++) {
        const int at = d + rank - x->rank;
        if (at >= 0 && shape[at] == r->batch && x->dims[d].size == r->was) return one_row(r, n, 0, d);
    }
    const int at = axis + rank - x->rank;
    if (axis < 0 || at < 0 || shape[at] == 1 || shape[at] != old_of(r, v)->dims[axis].size) return SKIVE_OK;
    shape[at] = 1; /* the input has them all */
    return set_ints(r, n, 1, shape, rank);
}

static skive_status row_for_each(skv_rebind *r, skive_node *n, size_t input, int axis) {
    skive_value *v = skv_node_in(n, input), *in[2] = {NULL}, *wide = NULL;
    int64_t dims[SKIVE_MAX_RANK];
    if (!v || axis_of(r, v) >= 0) return SKIVE_OK;
    const skive_type *t = now_of(r, v);
    if (!skv_type_is_static(t) || axis >= t->rank || t->dims[axis].size != r->was) return SKIVE_OK;
    const int rank = t->rank;
    for (int d = 0; d < rank; d++) dims[d] = d == axis ? r->batch : t->dims[d].size;
    SKV_TRY(one_row(r, n, input, axis));
    in[0] = n->inputs[input];
    SKV_TRY(add_ints(r, dims, rank, &in[1]));
    SKV_TRY(add_node(r, "Expand", in, 2, &wide));
    return skv_node_set_input(n, input, wide);
}

static skive_status concat(skv_rebind *r, skive_node *n) {
    int batch_axis = -1, rank = 0;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (axis_of(r, n->inputs[i]) < 0) continue;
        batch_axis = axis_of(r, n->inputs[i]);
        rank = now_of(r, n->inputs[i])->rank;
    }
    if (batch_axis < 0) return SKIVE_OK;
    const int64_t along = skv_attr_int(n, "axis", 0);
    if ((along < 0 ? along + rank : along) == batch_axis)
        return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name, "node '%s' (Concat) adds to the samples of a batch",
                           n->name);
    for (uint32_t i = 0; i < n->n_inputs; i++) SKV_TRY(row_for_each(r, n, i, batch_axis));
    return SKIVE_OK;
}

static skive_status recurrent(skv_rebind *r, skive_node *n) {
    const int axis = skv_attr_int(n, "layout", 0) ? 0 : 1;
    if (axis_of(r, n->inputs[0]) < 0) return SKIVE_OK;
    if (axis_of(r, n->inputs[0]) != axis)
        return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name,
                           "node '%s' (%s) takes the input's first axis for the steps of one sequence, not for samples",
                           n->name, n->op_type);
    SKV_TRY(row_for_each(r, n, 4, 0));
    SKV_TRY(row_for_each(r, n, 5, axis));
    return row_for_each(r, n, 6, axis);
}

/* Broadcasting takes one row; it does not take as many as there were. */
static skive_status broadcast(skv_rebind *r, skive_node *n) {
    int from_right = 0;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const int axis = axis_of(r, n->inputs[i]);
        if (axis >= 0) from_right = now_of(r, n->inputs[i])->rank - axis;
    }
    for (uint32_t i = 0; r->was > 1 && from_right > 0 && i < n->n_inputs; i++) {
        const skive_value *v = n->inputs[i];
        if (!v || axis_of(r, v) >= 0) continue;
        const int axis = now_of(r, v)->rank - from_right;
        if (axis >= 0 && now_of(r, v)->dims[axis].size == r->was) SKV_TRY(one_row(r, n, i, axis));
    }
    return SKIVE_OK;
}

/* ---- operators that look along an axis ---- */

static skive_status along_axis(const skv_rebind *r, const skive_node *n, int64_t fallback) {
    const int axis = axis_of(r, n->inputs[0]), rank = now_of(r, n->inputs[0])->rank;
    const int64_t along = skv_attr_int(n, "axis", fallback);
    if (axis < 0 || (along < 0 ? along + rank : along) != axis) return SKIVE_OK;
    return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name, "node '%s' (%s) works along the samples of a batch",
                       n->name, n->op_type);
}

typedef enum how { RESHAPE, EXPAND, SLICE, RESIZE, CONCAT, RECURRENT, BROADCAST, ALONG, GATHER } how;
static const struct {
    const char *op;
    how how;
} table[] = {
    {"Reshape", RESHAPE},       {"Expand", EXPAND},
    {"Slice", SLICE},           {"Resize", RESIZE},
    {"Concat", CONCAT},         {"LSTM", RECURRENT},
    {"GRU", RECURRENT},         {"RNN", RECURRENT},
    {"Add", BROADCAST},         {"Sub", BROADCAST},
    {"Mul", BROADCAST},         {"Div", BROADCAST},
    {"Pow", BROADCAST},         {"Mod", BROADCAST},
    {"Min", BROADCAST},         {"Max", BROADCAST},
    {"Sum", BROADCAST},         {"Mean", BROADCAST},
    {"Where", BROADCAST},       {"And", BROADCAST},
    {"Or", BROADCAST},          {"Xor", BROADCAST},
    {"Equal", BROADCAST},       {"Greater", BROADCAST},
    {"Less", BROADCAST},        {"GreaterOrEqual", BROADCAST},
    {"LessOrEqual", BROADCAST}, {"PRelu", BROADCAST},
    {"MatMul", BROADCAST},      {"Gemm", BROADCAST},
    {"Softmax", ALONG},         {"LogSoftmax", ALONG},
    {"Hardmax", ALONG},         {"Gather", GATHER},
};

skive_status skv_rebind_node(skv_rebind *r, skive_node *n, int64_t *outer_out) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!skv_node_is(n, table[i].op) || n->n_inputs == 0 || !n->inputs[0]) continue;
        switch (table[i].how) {
        case RESHAPE: return reshape(r, n, outer_out);
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
