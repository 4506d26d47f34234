/* Channels that give the same as another: one of the two goes, and whoever read both reads the other with the sum of
 * their weights. Two channels of a family (skive/coupling.h) are twins if each node that makes one of them makes the
 * other of the same numbers: rows of weights, biases, scales and statistics agree bit by bit, and what is computed
 * comes from slices of the channel or from what both read alike. Where weights are integers the sum is exact, as long
 * as it fits their type; float32 rounds differently, and so needs a tolerance. */
#include <stdlib.h>
#include <string.h>

#include "graph/bounds.h"
#include "graph/internal.h"
#include "prune/prune.h"
#include "tensor/tensor.h"

/* A node that sums over the channel with weights; the input of a DequantizeLinear holds the integers. */
typedef struct ending {
    const skive_node *node;
    skive_value *stored;
    const skive_tensor *zero; /* of the integers; NULL: floats, or zero */
    const skive_value *weight;
    int in_axis, out_axis;
} ending;

typedef struct row {
    size_t channel;
    uint64_t hash;
    int family;
} row;

typedef struct twins {
    skv_pruning *p;
    skive_graph *graph;
    skv_bounds *bounds;
    skive_coupling *coupling;
    const skive_channel_slice *a, *b; /* of the channel that stays, and of the one that goes */
    size_t n;
    size_t *stamp, now; /* [values] which channel had a slice of it last */
    ending *ends;       /* of the channel that goes */
    uint32_t n_ends, ends_capacity;
    int *family;        /* [values] whose channels have changed slices of it in this round; -1: none */
    bool *stays, *gone; /* [channels] */
    row *rows;          /* [channels], in order of family, hash and channel */
    size_t *chosen, n_chosen;
    int64_t kept; /* twins that stay, of the round */
    const char *why;
} twins;

static bool in_channel(const twins *t, const skive_value *v) { return v && t->stamp[v->id] == t->now; }

static bool has_slice(const twins *t, const skive_value *v, int axis) {
    for (size_t k = 0; k < t->n; k++)
        if (t->b[k].value == v && t->b[k].axis == axis) return true;
    return false;
}

static bool makes_slices(const twins *t, const skive_node *n) {
    for (uint32_t k = 0; k < n->n_outputs; k++)
        if (in_channel(t, n->outputs[k])) return true;
    return false;
}

/* ---- the ends of a channel ---- */

static bool along(const twins *t, const skive_node *n, size_t i, int axis) {
    const skive_value *v = skv_node_in(n, i);
    const skive_tensor *x = v ? skv_bounds_constant(t->bounds, v) : NULL;
    if (!v) return true;
    if (!x) return false;
    if (skive_tensor_count(x) == 1) return true;
    const int64_t at = skv_attr_int(n, "axis", 1);
    return (at < 0 ? at + n->inputs[0]->type.rank : at) == axis;
}

/* The parameter that holds the weights: itself, or the integers behind a DequantizeLinear with one scale a row. */
static bool find_stored(const twins *t, ending *e) {
    const skive_node *n = e->weight->producer;
    if (!n) {
        e->stored = (skive_value *)e->weight;
        return skv_value_tensor(e->stored) && e->stored->type.dtype == SKIVE_F32;
    }
    if (!skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) || skv_attr_int(n, "block_size", 0) != 0) return false;
    if (!along(t, n, 1, e->out_axis) || !along(t, n, 2, e->out_axis)) return false;
    e->stored = n->inputs[0];
    e->zero = skv_bounds_constant(t->bounds, skv_node_in(n, 2));
    return skv_value_tensor(e->stored) && !skv_dtype_is_float(e->stored->type.dtype);
}

static skive_status add_end(twins *t, skive_node *n, size_t i, const skv_weight_view *view) {
    ending e = {.node = n, .weight = n->inputs[i], .in_axis = view->in_axis, .out_axis = view->out_axis};
    for (uint32_t k = 0; k < t->n_ends; k++)
        if (t->ends[k].weight == e.weight) return SKIVE_OK; /* reads two values of the channel */
    if (!find_stored(t, &e)) e.stored = NULL;
    SKV_TRY(skv_reserve(t->p->ctx, &t->ends, t->n_ends, &t->ends_capacity, sizeof e));
    t->ends[t->n_ends++] = e;
    return SKIVE_OK;
}

/* Ends of channel i, which becomes the one that goes; *can is false if something else reads it. */
static skive_status find_ends(twins *t, size_t i, bool *can) {
    int family;
    skive_coupling_get(t->coupling, i, &t->b, &t->n, &family);
    t->now = i + 1;
    t->n_ends = 0;
    *can = !skive_coupling_mixes(t->coupling, i);
    for (size_t k = 0; k < t->n; k++) t->stamp[t->b[k].value->id] = t->now;
    for (size_t k = 0; k < t->n && *can; k++) {
        const skive_value *v = t->b[k].value;
        if ((k > 0 && t->b[k - 1].value == v) || skv_bounds_constant(t->bounds, v)) continue;
        *can = v->producer && v->output_uses == 0;
        for (uint32_t u = 0; u < v->n_uses && *can; u++) {
            skive_node *n = v->uses[u].node;
            bool sums = false;
            for (uint32_t w = 0; w < n->n_inputs; w++) {
                skv_weight_view view;
                if (!in_channel(t, n->inputs[w]) || skv_input_role(n, w) != SKV_ROLE_WEIGHT) continue;
                if (!skv_weight_view_of(n, w, &view) || !skv_bounds_constant(t->bounds, n->inputs[w])) continue;
                if (view.in_axis < 0 || !has_slice(t, n->inputs[w], view.in_axis)) continue;
                sums = true;
                *can = *can && view.data >= 0 && n->inputs[view.data] == v && view.blocks == 1 && view.directions == 1;
                SKV_TRY(add_end(t, n, w, &view));
            }
            *can = *can && (sums || makes_slices(t, n));
        }
    }
    return SKIVE_OK;
}

static bool is_end(const twins *t, const skive_channel_slice *s) {
    for (uint32_t k = 0; k < t->n_ends; k++) {
        const ending *e = &t->ends[k];
        if (s->axis == e->in_axis && (s->value == e->weight || s->value == e->stored)) return true;
    }
    return false;
}

/* ---- do two channels give the same? ---- */

static uint64_t hash_slice(const skive_tensor *x, int axis, int64_t index, uint64_t seed) {
    size_t inner = (size_t)skive_dtype_bits(x->dtype) / 8;
    for (int d = axis + 1; d < x->rank; d++) inner *= (size_t)x->dims[d];
    const size_t all = inner * (size_t)x->dims[axis], bytes = skive_tensor_bytes(x);
    for (size_t at = (size_t)index * inner; at + inner <= bytes && all > 0; at += all)
        seed = skv_hash64((const char *)x->data + at, inner, seed);
    return seed;
}

static bool slices_agree(const skive_tensor *x, int axis, int64_t i, int64_t j) {
    size_t inner = (size_t)skive_dtype_bits(x->dtype) / 8;
    for (int d = axis + 1; d < x->rank; d++) inner *= (size_t)x->dims[d];
    const size_t all = inner * (size_t)x->dims[axis], bytes = skive_tensor_bytes(x);
    for (size_t at = 0; at + all <= bytes && all > 0; at += all) {
        const char *from = (const char *)x->data + at;
        if (memcmp(from + (size_t)i * inner, from + (size_t)j * inner, inner) != 0) return false;
    }
    return true;
}

/* Types of less than a byte share bytes between slices. */
static const skive_tensor *whole_bytes(const twins *t, const skive_value *v) {
    const skive_tensor *x = skv_bounds_constant(t->bounds, v);
    return x && x->data && skive_dtype_bits(x->dtype) >= 8 && x->dtype != SKIVE_STRING ? x : NULL;
}

/* A product or convolution whose weights have the channel as output: does it read the same data for both? */
static bool same_data(const twins *t, const skive_node *n, size_t w, int *data) {
    skv_weight_view view;
    *data = -1;
    if (!SKV_NODE_IS_ANY(n, SKV_OP_CONV, SKV_OP_CONV_TRANSPOSE, SKV_OP_GEMM, SKV_OP_MAT_MUL)) return false;
    if (!skv_weight_view_of(n, w, &view) || view.data < 0 || view.out_axis < 0) return false;
    if (!has_slice(t, n->inputs[w], view.out_axis)) return false;
    *data = view.data;
    if (view.groups <= 1) return true;
    if (skv_node_is(n, SKV_OP_CONV_TRANSPOSE)) return false;
    if (view.in == 1 && has_slice(t, n->inputs[view.data], view.data_axis)) return true; /* depthwise: its own */
    for (size_t k = 0; k < t->n; k++) {
        const int64_t per = view.out / view.groups;
        if (t->b[k].value == n->inputs[w] && t->b[k].axis == view.out_axis &&
            (per < 1 || t->a[k].index / per != t->b[k].index / per))
            return false;
    }
    return true;
}

/* Does the node make both channels from the same numbers, given that slices of the channels before it agree? */
static bool makes_the_same(const twins *t, const skive_node *n) {
    int data = -1;
    if (!n->op || n->op->random || n->op->flow || skv_node_has_subgraph(n)) return false;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (!n->inputs[i] || skv_input_role(n, i) != SKV_ROLE_WEIGHT) continue;
        if (data >= 0 || !skv_bounds_constant(t->bounds, n->inputs[i]) || !same_data(t, n, i, &data)) return false;
    }
    if (data < 0 && SKV_NODE_IS_ANY(n, SKV_OP_GEMM, SKV_OP_MAT_MUL)) return false;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skive_value *v = n->inputs[i];
        if (!v || (int)i == data || skv_bounds_constant(t->bounds, v) || in_channel(t, v)) continue;
        if (skv_node_is(n, SKV_OP_CONCAT)) continue; /* stands beside */
        if (!skv_type_is_static(&v->type) || skv_type_count(&v->type) != 1) return false;
    }
    return true;
}

/* t->b with its ends is the one that goes; t->a the other. */
static bool are_twins(const twins *t) {
    for (size_t k = 0; k < t->n; k++) {
        const skive_value *v = t->b[k].value;
        if (t->a[k].value != v || t->a[k].axis != t->b[k].axis) return false;
        if (skv_bounds_constant(t->bounds, v)) {
            const skive_tensor *x = whole_bytes(t, v);
            if (is_end(t, &t->b[k])) continue;
            if (!x || !slices_agree(x, t->b[k].axis, t->a[k].index, t->b[k].index)) return false;
        } else if (!(k > 0 && t->b[k - 1].value == v) && !makes_the_same(t, v->producer)) {
            return false;
        }
    }
    return true;
}

/* ---- the sum of their weights ---- */

/* Products of integers are exact where the data are integers too, and the bias, if there is one. */
static bool is_exact(const twins *t, const ending *e) {
    skv_weight_view view;
    const skive_value *bias = skv_node_in(e->node, 2);
    if (e->stored == e->weight) return false;
    for (uint32_t i = 0; i < e->node->n_inputs; i++) {
        if (e->node->inputs[i] != e->weight || !skv_weight_view_of(e->node, i, &view) || view.data < 0) continue;
        const skive_node *x = e->node->inputs[view.data]->producer;
        return skv_node_is(x, SKV_OP_DEQUANTIZE_LINEAR) && skv_bounds_constant(t->bounds, x->inputs[1]) &&
               (!bias || skv_node_is(bias->producer, SKV_OP_DEQUANTIZE_LINEAR));
    }
    return false;
}

/* Adds the weights of the channel that goes to those of the one that stays, or only asks whether they fit. */
static bool add_weights(const twins *t, const ending *e, bool change) {
    skive_tensor *w = &e->stored->storage->tensor;
    int64_t strides[SKIVE_MAX_RANK], low = INT64_MIN;
    uint64_t high = UINT64_MAX;
    const bool integers = skv_dtype_int_range(w->dtype, &low, &high);
    skv_dims_strides(w->rank, w->dims, strides);
    const int64_t n = skive_tensor_count(w), in = strides[e->in_axis];
    for (size_t k = 0; k < t->n; k++) {
        if (t->b[k].value != e->stored || t->b[k].axis != e->in_axis) continue;
        for (int64_t at = 0; at < n; at++) {
            if (at / in % w->dims[e->in_axis] != t->a[k].index) continue;
            const int64_t m = e->out_axis >= 0 ? at / strides[e->out_axis] % w->dims[e->out_axis] : 0;
            double sum = skv_load_f64(w->dtype, w->data, (size_t)at) +
                         skv_load_f64(w->dtype, w->data, (size_t)(at + (t->b[k].index - t->a[k].index) * in));
            if (e->zero)
                sum -= skv_load_f64(e->zero->dtype, e->zero->data, skive_tensor_count(e->zero) > 1 ? (size_t)m : 0);
            if (integers && (sum < (double)low || sum > (double)high)) return false;
            if (change) skv_store_f64(w->dtype, w->data, (size_t)at, sum);
        }
    }
    return true;
}

/* NULL: it may be done. */
static const char *why_not(const twins *t) {
    for (uint32_t k = 0; k < t->n_ends; k++) {
        const ending *e = &t->ends[k];
        const bool own = e->stored && e->weight->n_uses == 1 && e->stored->n_uses == 1 && e->weight->output_uses == 0 &&
                         e->stored->output_uses == 0;
        if (!own) return "weights that several nodes read, or that are computed, cannot take the sum";
        if (!is_exact(t, e) && t->p->o->tolerance <= 0) return "float32 would round differently; --tolerance lets it";
        if (!add_weights(t, e, false)) return "the sums of their weights leave the type of the weights";
    }
    return NULL;
}

/* Slices of one value belong to channels of several families (heads, and their width): one of them a round. */
static bool is_free(const twins *t, int family) {
    for (size_t k = 0; k < t->n; k++) {
        const int f = t->family[t->b[k].value->id];
        if (f >= 0 && f != family) return false;
    }
    return true;
}

static bool is_skipped(const twins *t) {
    for (size_t s = 0; s < t->p->o->n_skip; s++)
        for (size_t k = 0; k < t->n; k++)
            if (strcmp(t->p->o->skip[s], t->b[k].value->name) == 0) return true;
    return false;
}

static skive_status merge(twins *t, size_t a, size_t b, int family) {
    for (uint32_t k = 0; k < t->n_ends; k++) SKV_TRY(skv_storage_make_unique(t->p->ctx, &t->ends[k].stored->storage));
    for (uint32_t k = 0; k < t->n_ends; k++) (void)add_weights(t, &t->ends[k], true);
    for (size_t k = 0; k < t->n; k++) t->family[t->b[k].value->id] = family;
    t->stays[a] = t->gone[b] = true;
    t->chosen[t->n_chosen++] = b;
    return SKIVE_OK;
}

/* ---- rounds ---- */

static int by_family_and_hash(const void *a, const void *b) {
    const row *x = a, *y = b;
    if (x->family != y->family) return x->family < y->family ? -1 : 1;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->channel < y->channel ? -1 : x->channel > y->channel;
}

static skive_status hash_channels(twins *t, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int family;
        bool can;
        uint64_t hash = 7;
        SKV_TRY(find_ends(t, i, &can));
        skive_coupling_get(t->coupling, i, &t->b, &t->n, &family);
        for (size_t k = 0; k < t->n && can; k++) {
            const skive_tensor *x = whole_bytes(t, t->b[k].value);
            if (x && !is_end(t, &t->b[k])) hash = hash_slice(x, t->b[k].axis, t->b[k].index, hash);
        }
        t->rows[i] = (row){.channel = i, .hash = hash, .family = can ? family : -1};
    }
    qsort(t->rows, n, sizeof *t->rows, by_family_and_hash);
    return SKIVE_OK;
}

/* Merges channel b into the first one before it of the same numbers. */
static skive_status look_at(twins *t, const row *first, const row *b) {
    bool can;
    if (t->stays[b->channel]) return SKIVE_OK;
    SKV_TRY(find_ends(t, b->channel, &can));
    for (const row *a = first; can && a < b; a++) {
        int family;
        size_t n;
        if (t->gone[a->channel]) continue;
        skive_coupling_get(t->coupling, a->channel, &t->a, &n, &family);
        if (n != t->n || !are_twins(t)) continue;
        if (!is_free(t, family) || is_skipped(t)) return SKIVE_OK;
        const char *why = why_not(t);
        if (!why) return merge(t, a->channel, b->channel, family);
        t->why = t->why ? t->why : why;
        t->kept++;
        return SKIVE_OK;
    }
    return SKIVE_OK;
}

static skive_status find_twins(twins *t) {
    skive_context *ctx = t->p->ctx;
    const size_t n = skive_coupling_count(t->coupling), values = t->graph->n_values;
    SKV_TRY(skv_alloc_array(ctx, values + 1, sizeof *t->stamp, &t->stamp));
    SKV_TRY(skv_alloc_array(ctx, values + 1, sizeof *t->family, &t->family));
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof *t->stays, &t->stays));
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof *t->gone, &t->gone));
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof *t->chosen, &t->chosen));
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof *t->rows, &t->rows));
    for (size_t v = 0; v < values; v++) t->family[v] = -1;
    SKV_TRY(hash_channels(t, n));
    for (size_t i = 0, first = 0; i < n; i++) {
        if (t->rows[i].family != t->rows[first].family || t->rows[i].hash != t->rows[first].hash) first = i;
        if (t->rows[i].family >= 0) SKV_TRY(look_at(t, t->rows + first, t->rows + i));
    }
    return SKIVE_OK;
}

skive_status skv_prune_twins(skv_pruning *p, int64_t *merged, int64_t *kept, const char **why) {
    twins t = {.p = p, .graph = p->work};
    skive_status status = skv_bounds_create(t.graph, &t.bounds);
    if (status == SKIVE_OK) status = skive_coupling_create(t.graph, &t.coupling);
    if (status == SKIVE_OK) status = find_twins(&t);
    if (status == SKIVE_OK && t.n_chosen > 0)
        status = skive_graph_remove_channels(t.graph, t.coupling, t.chosen, t.n_chosen);
    *merged = (int64_t)t.n_chosen;
    *kept = t.kept;
    *why = t.why;
    skv_bounds_free(t.bounds);
    skive_coupling_free(t.coupling);
    skv_free(p->ctx, t.stamp);
    skv_free(p->ctx, t.family);
    skv_free(p->ctx, t.stays);
    skv_free(p->ctx, t.gone);
    skv_free(p->ctx, t.chosen);
    skv_free(p->ctx, t.rows);
    skv_free(p->ctx, t.ends);
    return status;
}
