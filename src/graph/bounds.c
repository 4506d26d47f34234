/* Intervals by channel. Each value has one interval, or one for each index of one axis, which its producer chose. */
#include "graph/bounds.h"

#include <float.h>
#include <math.h>

#include "graph/internal.h"
#include "tensor/tensor.h"

typedef struct bound {
    int axis; /* -1: one for all */
    int64_t n;
    skv_range *r; /* [n] */
} bound;

struct skv_bounds {
    skive_context *ctx;
    const skive_graph *graph;
    uint32_t n_values;      /* when it was made */
    bound *of;              /* [n_values] */
    skive_tensor *computed; /* [n_values] from parameters alone; empty: not */
};

struct skv_bounding {
    skv_bounds *all;
    const skive_node *node;
};

static const skv_range everything = {-INFINITY, INFINITY};

static skv_range join(skv_range a, skv_range b) {
    return (skv_range){a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}

skv_range skv_range_of_sum(double lo, double hi, double size, double terms) {
    const double room = terms > 0 ? (terms + 2) * (double)FLT_EPSILON * size : 0;
    if (isnan(lo) || isnan(hi) || isnan(room)) return everything;
    return (skv_range){lo - room, hi + room};
}

/* ---- constants ---- */

const skive_tensor *skv_bounds_constant(const skv_bounds *b, const skive_value *v) {
    if (!v || v->id >= b->n_values) return NULL;
    const skive_tensor *t = skv_value_tensor(v);
    if (t) return t;
    return b->computed[v->id].data ? &b->computed[v->id] : NULL;
}

enum { MOST_INPUTS = 8 };

/* A node of constants is computed, where its record can and the result is not much larger than they are. */
static skive_status compute(skv_bounds *b, const skive_node *n, bool *done) {
    const skive_tensor *in[MOST_INPUTS];
    int64_t size = 1024, most;
    *done = false;
    if (!n->op || !n->op->run || n->op->random || n->op->flow || n->n_inputs == 0 || n->n_inputs > MOST_INPUTS ||
        n->n_outputs != 1 || !n->outputs[0] || skv_node_has_subgraph(n))
        return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        in[i] = skv_bounds_constant(b, n->inputs[i]);
        if (n->inputs[i] && !in[i]) return SKIVE_OK;
        size += in[i] ? skive_tensor_count(in[i]) : 0;
    }
    if (!skv_type_is_static(&n->outputs[0]->type) || !skv_mul_i64(size, 4, &most) ||
        skv_type_count(&n->outputs[0]->type) > most)
        return SKIVE_OK;
    *done = true;
    return skv_op_evaluate(b->ctx, n, in, n->n_inputs, &b->computed[n->outputs[0]->id], 1);
}

/* The interval of a constant, or of its slice at an index. */
static skv_range range_of_tensor(const skive_tensor *t, int axis, int64_t index) {
    skv_range r = {INFINITY, -INFINITY};
    int64_t inner = 1, length = 1;
    if (axis >= 0) {
        length = t->dims[axis];
        for (int d = axis + 1; d < t->rank; d++) inner *= t->dims[d];
    }
    const int64_t n = skive_tensor_count(t), from = axis >= 0 ? index * inner : 0;
    const int64_t run = axis >= 0 ? inner : n, step = axis >= 0 ? inner * length : n;
    for (int64_t at = from; at < n && run > 0; at += step)
        for (int64_t i = at; i < at + run; i++)
            r = join(
                r, (skv_range){skv_load_f64(t->dtype, t->data, (size_t)i), skv_load_f64(t->dtype, t->data, (size_t)i)});
    return r.lo <= r.hi ? r : everything;
}

/* ---- for the op records ---- */

const skive_node *skv_bounding_node(const skv_bounding *b) { return b->node; }

const skive_tensor *skv_bound_constant(const skv_bounding *b, size_t i) {
    return skv_bounds_constant(b->all, skv_node_in(b->node, i));
}

skv_range skv_bounds_at(const skv_bounds *b, const skive_value *v, int axis, int64_t index) {
    if (!v || v->id >= b->n_values) return everything;
    const skive_tensor *t = skv_bounds_constant(b, v);
    if (t) {
        const bool there = axis >= 0 && axis < t->rank && index >= 0 && index < t->dims[axis];
        return range_of_tensor(t, there ? axis : -1, index);
    }
    const bound *x = &b->of[v->id];
    if (x->n == 0) return everything;
    if (x->axis < 0) return x->r[0];
    if (x->axis == axis && index >= 0 && index < x->n) return x->r[index];
    skv_range r = x->r[0];
    for (int64_t i = 1; i < x->n; i++) r = join(r, x->r[i]);
    return r;
}

skv_range skv_bound_at(const skv_bounding *b, size_t i, int axis, int64_t index) {
    return skv_bounds_at(b->all, skv_node_in(b->node, i), axis, index);
}

int skv_bound_axis(const skv_bounding *b, size_t i) {
    const skive_value *v = skv_node_in(b->node, i);
    return v && !skv_bound_constant(b, i) ? b->all->of[v->id].axis : -1;
}

static skive_status make_room(skv_bounds *b, const skive_value *v, int axis, int64_t n, skv_range **r) {
    bound *x = &b->of[v->id];
    skv_free(b->ctx, x->r);
    *x = (bound){.axis = -1};
    SKV_TRY(skv_alloc_array(b->ctx, (size_t)n + 1, sizeof *x->r, &x->r));
    x->axis = axis;
    x->n = n;
    for (int64_t i = 0; i < n; i++) x->r[i] = everything;
    *r = x->r;
    return SKIVE_OK;
}

skive_status skv_bound_output(skv_bounding *b, int axis, int64_t n, skv_range **r) {
    return make_room(b->all, b->node->outputs[0], axis, n, r);
}

skive_status skv_bound_channels(skv_bounding *b) {
    const int axis = skv_bound_axis(b, 0);
    const skive_type *x = &b->node->inputs[0]->type, *y = &b->node->outputs[0]->type;
    skv_range *r;
    if (axis != 1 || y->rank != x->rank || y->dims[1].size != x->dims[1].size) return SKIVE_OK;
    SKV_TRY(skv_bound_output(b, axis, y->dims[1].size, &r));
    for (int64_t c = 0; c < y->dims[1].size; c++) {
        const skv_range in = skv_bound_at(b, 0, axis, c);
        r[c] = skv_output_range(b->node, &in);
    }
    return SKIVE_OK;
}

/* Elements from an axis on; -1: not known. The batch, in front, may be unknown. */
static int64_t count_from(const skive_type *t, int axis) {
    int64_t n = 1;
    for (int d = axis; d < t->rank; d++)
        if (t->dims[d].size < 1 || !skv_mul_i64(n, t->dims[d].size, &n)) return -1;
    return n;
}

skive_status skv_bound_reshape(skv_bounding *b) {
    const int axis = skv_bound_axis(b, 0);
    if (axis < 0) return SKIVE_OK;
    const skive_type *x = &b->node->inputs[0]->type, *y = &b->node->outputs[0]->type;
    const int64_t n = x->dims[axis].size;
    for (int k = 0; k < y->rank; k++) {
        const int64_t length = y->dims[k].size;
        skv_range *r;
        if (length < n || n < 1 || length % n != 0) continue;
        if (count_from(x, axis) < 0 || count_from(x, axis) != count_from(y, k)) continue;
        SKV_TRY(skv_bound_output(b, k, length, &r));
        for (int64_t i = 0; i < length; i++) r[i] = skv_bound_at(b, 0, axis, i / (length / n));
        return SKIVE_OK;
    }
    return SKIVE_OK;
}

/* ---- the graph ---- */

/* The axis of input i that index `axis` of the output broadcasts; -1: there is none, or it has length 1. */
static int axis_of_input(const skive_node *n, size_t i, int axis) {
    const skive_value *v = n->inputs[i], *y = n->outputs[0];
    const int at = v ? axis - (y->type.rank - v->type.rank) : -1;
    return at >= 0 && v->type.rank >= 0 && v->type.dims[at].size == y->type.dims[axis].size ? at : -1;
}

/* By element: along the axis of an input that has one, or else along the second, where constants may differ. */
static skive_status bound_elements(skv_bounding *b) {
    const skive_node *n = b->node;
    const skive_value *y = n->outputs[0];
    int axis = -1;
    skv_range in[MOST_INPUTS], *r;
    if (n->n_inputs > MOST_INPUTS || y->type.rank < 0) return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_inputs && axis < 0; i++) {
        const int of_input = skv_bound_axis(b, i);
        if (of_input < 0) continue;
        const int at = of_input + y->type.rank - n->inputs[i]->type.rank;
        if (at >= 0 && at < y->type.rank && n->inputs[i]->type.dims[of_input].size == y->type.dims[at].size) axis = at;
    }
    if (axis < 0 && y->type.rank >= 2) axis = 1;
    if (axis < 0 || y->type.dims[axis].size < 1) return SKIVE_OK;
    SKV_TRY(skv_bound_output(b, axis, y->type.dims[axis].size, &r));
    for (int64_t c = 0; c < y->type.dims[axis].size; c++) {
        for (uint32_t i = 0; i < n->n_inputs; i++)
            in[i] = n->inputs[i] ? skv_bound_at(b, i, axis_of_input(n, i, axis), c) : everything;
        r[c] = skv_output_range(n, in);
    }
    return SKIVE_OK;
}

/* One interval for the whole. */
static skive_status bound_whole(skv_bounding *b) {
    const skive_node *n = b->node;
    skv_range *in = NULL, *r;
    SKV_TRY(skv_alloc_array(b->all->ctx, (size_t)n->n_inputs + 1, sizeof *in, &in));
    for (uint32_t i = 0; i < n->n_inputs; i++) in[i] = n->inputs[i] ? skv_bound_at(b, i, -1, 0) : everything;
    const skive_status status = skv_bound_output(b, -1, 1, &r);
    if (status == SKIVE_OK) *r = skv_output_range(n, in);
    skv_free(b->all->ctx, in);
    return status;
}

static skive_status bound_node(skv_bounds *all, const skive_node *n) {
    skv_bounding b = {all, n};
    bool done;
    if (n->n_outputs == 0 || !n->outputs[0]) return SKIVE_OK;
    SKV_TRY(compute(all, n, &done));
    if (done || !n->op) return SKIVE_OK;
    if (n->op->bounds)
        SKV_TRY(n->op->bounds(&b));
    else if (n->op->pointwise && n->op->range)
        SKV_TRY(bound_elements(&b));
    return all->of[n->outputs[0]->id].n == 0 ? bound_whole(&b) : SKIVE_OK;
}

static skive_status bound_inputs(skv_bounds *b) {
    for (uint32_t i = 0; i < b->graph->n_inputs; i++) {
        const skive_value *v = b->graph->inputs[i];
        skv_range *r;
        int64_t low;
        uint64_t high;
        SKV_TRY(make_room(b, v, -1, 1, &r));
        if (skv_dtype_int_range(v->type.dtype, &low, &high)) *r = (skv_range){(double)low, (double)high};
    }
    return SKIVE_OK;
}

/* Parameters left coded are looked at as well. */
static skive_status inflate(skv_bounds *b) {
    for (uint32_t i = 0; i < b->n_values; i++) {
        const skive_value *v = b->graph->values[i];
        if (v->storage && v->storage->coded) SKV_TRY(skv_storage_inflate(b->ctx, v->storage, &b->computed[i]));
    }
    return SKIVE_OK;
}

skive_status skv_bounds_create(const skive_graph *g, skv_bounds **out) {
    skv_bounds *b = NULL;
    skive_node **order = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(g->ctx, 1, sizeof *b, &b));
    b->ctx = g->ctx;
    b->graph = g;
    b->n_values = g->n_values;
    SKV_GO(status, fail, skv_alloc_array(g->ctx, (size_t)g->n_values + 1, sizeof *b->of, &b->of));
    SKV_GO(status, fail, skv_alloc_array(g->ctx, (size_t)g->n_values + 1, sizeof *b->computed, &b->computed));
    for (uint32_t i = 0; i < g->n_values; i++) b->of[i].axis = -1;
    SKV_GO(status, fail, inflate(b));
    SKV_GO(status, fail, bound_inputs(b));
    SKV_GO(status, fail, skv_graph_topo(g, &order));
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (order[i]) SKV_GO(status, fail, bound_node(b, order[i]));
    skv_free(g->ctx, order);
    *out = b;
    return SKIVE_OK;
fail:
    skv_free(g->ctx, order);
    skv_bounds_free(b);
    return status;
}

void skv_bounds_free(skv_bounds *b) {
    if (!b) return;
    for (uint32_t i = 0; b->of && i < b->n_values; i++) skv_free(b->ctx, b->of[i].r);
    for (uint32_t i = 0; b->computed && i < b->n_values; i++) skive_tensor_free(b->ctx, &b->computed[i]);
    skv_free(b->ctx, b->of);
    skv_free(b->ctx, b->computed);
    skv_free(b->ctx, b);
}
