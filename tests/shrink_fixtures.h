/* The network in which channels are empty instead of removed: what skive_graph_remove_channels is compared with. Each
 * value is masked to zero where channels are to go; parameters of recurrent layers, whose states are not values, are
 * masked themselves; nodes that take a statistic over channels are written out so that they take it over those that
 * stay. */
#ifndef SKV_TEST_SHRINK_FIXTURES_H
#define SKV_TEST_SHRINK_FIXTURES_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <skive/coupling.h>

#include "graph/graph.h"
#include "graph/op.h"
#include "tensor/tensor.h"

typedef struct masking {
    const skive_graph *before;
    skive_graph *g;
    skv_builder b;
    bool **keep; /* [value id * SKIVE_MAX_RANK + axis]; NULL: nothing goes */
} masking;

static inline bool *mask_of(const masking *m, const skive_value *v, int axis) {
    return v && axis >= 0 && axis < v->type.rank ? m->keep[(size_t)v->id * SKIVE_MAX_RANK + (size_t)axis] : NULL;
}

static inline bool mask_any(const masking *m, const skive_value *v) {
    for (int d = 0; v && d < v->type.rank; d++)
        if (mask_of(m, v, d)) return true;
    return false;
}

static inline int64_t mask_left(const bool *keep, int64_t n) {
    int64_t left = 0;
    for (int64_t i = 0; i < n; i++) left += !keep || keep[i];
    return left;
}

/* Where(mask along `axis` of `rank` axes, x, empty). */
static inline skive_value *masked_value(masking *m, skive_value *x, const bool *keep, int axis, int rank, int64_t n,
                                        double empty) {
    skv_storage *storage = NULL;
    int64_t dims[SKIVE_MAX_RANK];
    if (!x || m->b.status != SKIVE_OK) return NULL;
    for (int d = 0; d < rank; d++) dims[d] = d == axis ? n : 1;
    m->b.status = skv_storage_create(m->g->ctx, SKIVE_BOOL, rank, dims, &storage);
    for (int64_t i = 0; m->b.status == SKIVE_OK && i < n; i++) skive_tensor_set(&storage->tensor, i, keep[i]);
    if (m->b.status != SKIVE_OK) return NULL;
    return skv_emit(&m->b, "Where",
                    SKV_IN(skv_emit_param(&m->b, NULL, storage), x, skv_emit_scalar(&m->b, x->type.dtype, empty)),
                    SKV_NONE);
}

static inline skive_value *emit2(masking *m, const char *op, skive_value *a, skive_value *b) {
    return skv_emit(&m->b, op, SKV_IN(a, b), SKV_NONE);
}

static inline skive_value *scalar_of(masking *m, const skive_value *like, double v) {
    return skv_emit_scalar(&m->b, like ? like->type.dtype : SKIVE_F32, v);
}

/* Mean 0 (unless `square_only`) and mean square 1 over the last axis, of what is kept. */
static inline skive_value *norm_last(masking *m, skive_node *n, bool square_only) {
    skive_value *x = n->inputs[0];
    const skive_value *old = m->before->nodes[n->id]->inputs[0];
    const int last = old->type.rank - 1;
    const int64_t size = old->type.dims[last].size, axis = last;
    const bool *keep = mask_of(m, old, last);
    skive_value *axes = skv_emit_ints(&m->b, &axis, 1), *d = x;
    skive_value *left = scalar_of(m, x, (double)mask_left(keep, size));
    if (!square_only) {
        skive_value *mean = emit2(m, "Div", emit2(m, "ReduceSum", x, axes), left);
        d = masked_value(m, emit2(m, "Sub", x, mean), keep, last, last + 1, size, 0);
    }
    skive_value *var = emit2(m, "Div", emit2(m, "ReduceSum", emit2(m, "Mul", d, d), axes), left);
    skive_value *root = skv_emit(
        &m->b, "Sqrt", SKV_IN(emit2(m, "Add", var, scalar_of(m, x, skv_attr_float(n, "epsilon", 1e-5)))), SKV_NONE);
    skive_value *y = emit2(m, "Mul", emit2(m, "Div", d, root), n->inputs[1]);
    return skv_node_in(n, 2) ? emit2(m, "Add", y, n->inputs[2]) : y;
}

/* GroupNormalization over the kept channels of each group: sums over the positions, then over the group. */
static inline skive_value *norm_groups(masking *m, skive_node *n) {
    skive_value *x = n->inputs[0];
    const skive_type *t = &m->before->nodes[n->id]->inputs[0]->type;
    const bool *keep = mask_of(m, m->before->nodes[n->id]->inputs[0], 1);
    const int64_t groups = skv_attr_int(n, "num_groups", 1), c = t->dims[1].size, of = c / groups;
    int64_t places = 1, spatial[SKIVE_MAX_RANK], columns[SKIVE_MAX_RANK] = {1, 0};
    skv_storage *count = NULL;
    for (int d = 2; d < t->rank; d++) {
        places *= t->dims[d].size;
        spatial[d - 2] = d;
        columns[d] = 1;
    }
    columns[0] = 0;
    columns[1] = c;
    m->b.status = skv_storage_create(m->g->ctx, SKIVE_F32, 3, (const int64_t[]){1, groups, 1}, &count);
    if (m->b.status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < groups; i++) {
        const int64_t left = mask_left(keep + i * of, of);
        skive_tensor_set(&count->tensor, i, (double)((left ? left : 1) * places));
    }
    skive_value *counts = skv_emit_param(&m->b, NULL, count), *d = x, *stat = NULL;
    skive_value *over = skv_emit_ints(&m->b, spatial, (size_t)t->rank - 2), *two = skv_emit_ints(&m->b, &spatial[0], 1);
    skive_value *split = skv_emit_ints(&m->b, (const int64_t[]){0, groups, of}, 3),
                *wide = skv_emit_ints(&m->b, (const int64_t[]){1, 1, of}, 3),
                *back = skv_emit_ints(&m->b, columns, (size_t)t->rank);
    for (int moment = 0; moment < 2; moment++) {
        skive_value *of_what = moment ? emit2(m, "Mul", d, d) : d;
        skive_value *sums = emit2(m, "Reshape", emit2(m, "ReduceSum", of_what, over), split);
        stat = emit2(m, "Div", emit2(m, "ReduceSum", sums, two), counts);
        stat = emit2(m, "Reshape", emit2(m, "Tile", stat, wide), back);
        if (moment == 0) d = masked_value(m, emit2(m, "Sub", x, stat), keep, 1, t->rank, c, 0);
    }
    columns[0] = 1;
    skive_value *per_channel = skv_emit_ints(&m->b, columns, (size_t)t->rank);
    skive_value *root = skv_emit(
        &m->b, "Sqrt", SKV_IN(emit2(m, "Add", stat, scalar_of(m, x, skv_attr_float(n, "epsilon", 1e-5)))), SKV_NONE);
    skive_value *y = emit2(m, "Mul", emit2(m, "Div", d, root), emit2(m, "Reshape", n->inputs[1], per_channel));
    return emit2(m, "Add", y, emit2(m, "Reshape", n->inputs[2], per_channel));
}

/* What stands for the node's first output; NULL: the output itself. *known is false for an op that mixes channels and
 * is not written out here. */
static inline skive_value *over_kept(masking *m, skive_node *n, bool *known) {
    const skive_node *old = m->before->nodes[n->id];
    const skive_value *x = old->n_inputs > 0 ? old->inputs[0] : NULL;
    if (!x || !mask_any(m, x)) return NULL;
    const int last = x->type.rank - 1, axis = (int)skv_axis(skv_attr_int(n, "axis", -1), x->type.rank);
    const bool norm = skv_node_is(n, SKV_OP_LAYER_NORMALIZATION), rms = skv_node_is(n, SKV_OP_RMS_NORMALIZATION);
    if (norm || rms) {
        if (!mask_of(m, x, last)) return NULL;
        *known = *known && axis == last;
        return norm_last(m, n, rms);
    }
    if (skv_node_is(n, SKV_OP_GROUP_NORMALIZATION)) return norm_groups(m, n);
    if (skv_node_is(n, SKV_OP_SOFTMAX) || skv_node_is(n, SKV_OP_LOG_SOFTMAX)) {
        if (!mask_of(m, x, axis)) return NULL;
        skive_value *in =
            masked_value(m, n->inputs[0], mask_of(m, x, axis), axis, last + 1, x->type.dims[axis].size, -INFINITY);
        if (m->b.status == SKIVE_OK) m->b.status = skv_node_set_input(n, 0, in);
        return NULL;
    }
    if (skv_node_is(n, SKV_OP_REDUCE_MEAN)) {
        double factor = 1;
        int64_t list[SKIVE_MAX_RANK];
        const skive_tensor *axes = skv_value_tensor(skv_node_in(old, 1));
        const int64_t count = axes ? skive_tensor_count(axes) : 0;
        for (int64_t i = 0; i < count; i++) list[i] = skv_axis((int64_t)skive_tensor_get(axes, i), last + 1);
        for (int64_t i = 0; i < count; i++) {
            const bool *keep = mask_of(m, x, (int)list[i]);
            if (!keep) continue;
            const int64_t size = x->type.dims[list[i]].size;
            factor *= (double)size / (double)mask_left(keep, size);
        }
        return factor == 1 ? NULL : emit2(m, "Mul", n->outputs[0], scalar_of(m, n->outputs[0], factor));
    }
    return NULL;
}

static inline bool is_recurrent(const skive_node *n) {
    return skv_node_is(n, SKV_OP_LSTM) || skv_node_is(n, SKV_OP_GRU) || skv_node_is(n, SKV_OP_RNN);
}

static inline skive_status mask_parameter(masking *m, skive_value *v) {
    skive_tensor t = {0};
    int64_t index[SKIVE_MAX_RANK] = {0};
    if (!v || !skv_value_tensor(v) || !mask_any(m, v)) return SKIVE_OK;
    SKV_TRY(skive_tensor_copy(m->g->ctx, skv_value_tensor(v), &t));
    for (int64_t e = 0; e < skive_tensor_count(&t); e++) {
        for (int d = 0; d < t.rank; d++)
            if (mask_of(m, v, d) && !mask_of(m, v, d)[index[d]]) skive_tensor_set(&t, e, 0);
        for (int d = t.rank - 1; d >= 0 && ++index[d] == t.dims[d]; d--) index[d] = 0;
    }
    const skive_status status = skive_value_set_data(v, &t);
    skive_tensor_free(m->g->ctx, &t);
    return status;
}

static inline skive_status mask_node(masking *m, uint32_t i, bool *known) {
    skive_node *n = m->g->nodes[i];
    const skive_node *old = m->before->nodes[i];
    const uint32_t first_new = m->g->n_nodes;
    for (uint32_t k = 0; is_recurrent(n) && k < n->n_inputs; k++) SKV_TRY(mask_parameter(m, n->inputs[k]));
    skive_value *stands = over_kept(m, n, known);
    SKV_TRY(m->b.status);
    for (uint32_t o = 0; o < old->n_outputs; o++) {
        skive_value *v = n->outputs[o], *y = o == 0 && stands ? stands : v;
        if (!v || (y == v && !mask_any(m, old->outputs[o]))) continue;
        for (int d = 0; d < old->outputs[o]->type.rank; d++) {
            const bool *keep = mask_of(m, old->outputs[o], d);
            if (keep)
                y = masked_value(m, y, keep, d, old->outputs[o]->type.rank, old->outputs[o]->type.dims[d].size, 0);
        }
        SKV_TRY(m->b.status);
        /* Those who read the value read the masked one; the nodes made here go on reading the value. */
        for (uint32_t u = v->n_uses; u-- > 0;) {
            const skv_use use = v->uses[u];
            if (use.node->id < first_new) SKV_TRY(skv_node_set_input(use.node, (size_t)use.index, y));
        }
        for (uint32_t k = 0; k < m->g->n_outputs; k++)
            if (m->g->outputs[k] == v && y != v) SKV_TRY(skv_value_replace_uses(v, y, true));
    }
    return SKIVE_OK;
}

/* A copy of g with these channels of `k` masked. *known is false if it mixes channels in a way not known here. */
static inline skive_status mask_graph(const skive_graph *g, const skive_coupling *k, const size_t *channels, size_t n,
                                      skive_graph **out, bool *known) {
    const size_t slots = (size_t)g->n_values * SKIVE_MAX_RANK;
    masking m = {.before = g};
    skive_status status;
    *known = true;
    SKV_TRY(skive_graph_copy(g->ctx, g, out));
    m.g = *out;
    m.b = skv_build(m.g);
    SKV_TRY(skv_alloc_array(g->ctx, slots + 1, sizeof *m.keep, &m.keep));
    status = SKIVE_OK;
    for (size_t i = 0; i < n; i++) {
        const skive_channel_slice *s;
        size_t n_slices;
        skive_coupling_get(k, channels[i], &s, &n_slices, NULL);
        for (size_t e = 0; e < n_slices; e++) {
            bool **keep = &m.keep[(size_t)s[e].value->id * SKIVE_MAX_RANK + (size_t)s[e].axis];
            const size_t size = (size_t)s[e].value->type.dims[s[e].axis].size;
            if (!*keep) {
                SKV_GO(status, done, skv_alloc_array(g->ctx, size, 1, keep));
                memset(*keep, 1, size);
            }
            (*keep)[s[e].index] = false;
        }
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) SKV_GO(status, done, mask_node(&m, i, known));
    status = skive_graph_infer(m.g);
done:
    for (size_t i = 0; i < slots; i++) skv_free(g->ctx, m.keep[i]);
    skv_free(g->ctx, m.keep);
    if (status != SKIVE_OK) {
        skive_graph_free(*out);
        *out = NULL;
    }
    return status;
}

/* Of n channels of a family, how many go: the share, at least one, and of families wide enough so many that what
 * remains is the nearest multiple. */
static inline size_t wanted_of(size_t n, double share, size_t multiple) {
    const size_t want = (size_t)((double)n * share);
    if (want == 0) return n >= 2;
    if (n < 2 * multiple) return want;
    const size_t rounded = (n - want + multiple / 2) / multiple * multiple;
    return rounded >= multiple && rounded < n ? n - rounded : want;
}

/* About `share` of the channels of each family, at random, at least one where there are two or more. Channels of
 * several kinds that meet are chosen in each kind. Returns their number; list[skive_coupling_count]. */
static inline size_t choose_channels(const skive_coupling *k, double share, uint64_t seed, size_t multiple,
                                     size_t *list) {
    const size_t count = skive_coupling_count(k);
    size_t n = 0;
    int families = 0;
    for (size_t i = 0; i < count; i++) {
        int family;
        skive_coupling_get(k, i, NULL, NULL, &family);
        if (family >= families) families = family + 1;
    }
    for (int f = 0; f < families; f++) {
        size_t of_family = 0, chosen = 0, left;
        for (size_t i = 0; i < count; i++) {
            int family;
            skive_coupling_get(k, i, NULL, NULL, &family);
            of_family += family == f;
        }
        const size_t want = wanted_of(of_family, share, multiple);
        left = of_family;
        for (size_t i = 0; i < count && chosen < want; i++) {
            int family;
            skive_coupling_get(k, i, NULL, NULL, &family);
            if (family != f) continue;
            if (skv_rng_uniform(seed, (uint64_t)f, i) * (double)left < (double)(want - chosen)) {
                list[n++] = i;
                chosen++;
            }
            left--;
        }
    }
    return n;
}

#endif
