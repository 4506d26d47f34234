/* Removing channels: a copy of the graph loses them and is compared with what was expected; then it takes the graph's
 * place. */
#include <string.h>

#include "graph/couple.h"
#include "tensor/tensor.h"

struct skv_shrink {
    const skive_coupling *k;
    const skive_graph *before;
    skive_graph
        *graph; /* the copy that is edited; values and nodes of `before` have the same ids in it, as have those of
                           subgraphs */
    const skive_node *was; /* the node before, and in the copy */
    skive_node *node;
    bool *keep;     /* [elements] */
    bool *loses;    /* [number of a value][SKIVE_MAX_RANK] */
    int64_t *after; /* the same: length; -1: not known */
    uint32_t n_values;
};

/* ---- for the op records ---- */

skive_node *skv_shrink_node(const skv_shrink *s) { return s->node; }

static const skive_value *value_of(const skv_shrink *s, skv_slot a) {
    const skive_node *n = s->was;
    const uint32_t count = a.is_output ? n->n_outputs : n->n_inputs;
    if (a.index < 0 || (uint32_t)a.index >= count) return NULL;
    return a.is_output ? n->outputs[a.index] : n->inputs[a.index];
}

/* `v` is of the graph before. */
static size_t slot_of(const skv_shrink *s, const skive_value *v, int axis) {
    return (size_t)skv_couple_number(&s->k->work, v) * SKIVE_MAX_RANK + (size_t)axis;
}

static const bool *mask_of(const skv_shrink *s, const skive_value *v, int axis) {
    const size_t slot = slot_of(s, v, axis);
    return s->loses[slot] ? &s->keep[s->k->work.slots[slot].first] : NULL;
}

skv_remaining skv_shrink_remaining(const skv_shrink *s, skv_slot a) {
    const skive_value *v = value_of(s, a);
    if (!v || a.axis < 0 || a.axis >= v->type.rank || v->type.dims[a.axis].size < 0) return (skv_remaining){NULL, 0, 0};
    return (skv_remaining){
        .keep = mask_of(s, v, a.axis), .before = v->type.dims[a.axis].size, .after = s->after[slot_of(s, v, a.axis)]};
}

const skive_type *skv_shrink_type(const skv_shrink *s, skv_slot a) {
    const skive_value *v = value_of(s, a);
    return v ? &v->type : NULL;
}

int64_t skv_remaining_among(const skv_remaining *k, int64_t first, int64_t n) {
    int64_t kept = 0;
    for (int64_t i = first < 0 ? 0 : first; i < first + n && i < k->before; i++) kept += !k->keep || k->keep[i];
    return kept;
}

int64_t skv_remaining_parts(const skv_remaining *k, int64_t outer) {
    int64_t parts = 0;
    if (outer < 1 || k->before % outer != 0) return outer;
    for (int64_t o = 0; o < outer; o++) parts += skv_remaining_among(k, o * (k->before / outer), k->before / outer) > 0;
    return parts;
}

skive_status skv_shrink_list(const skv_shrink *s, size_t i, const int64_t *values, size_t n) {
    skive_value *old = skv_node_in(s->node, i), *fresh = NULL;
    skv_storage *storage = NULL;
    const char *name = NULL;
    const int64_t dims[1] = {(int64_t)n};
    if (old && !skv_value_tensor(old))
        return skv_fail_at(s->graph->ctx, SKIVE_ERR_UNSUPPORTED, s->node->name,
                           "node '%s': %s names the sizes of channels in input %zu, which is computed", s->node->name,
                           s->node->op_type, i);
    const bool scalar = old && old->type.rank == 0;
    SKV_TRY(skv_storage_create(s->graph->ctx, old ? old->type.dtype : SKIVE_I64, scalar ? 0 : 1, dims, &storage));
    for (size_t e = 0; e < n && (!scalar || e == 0); e++)
        skive_tensor_set(&storage->tensor, (int64_t)e, (double)values[e]);
    skive_status status;
    SKV_GO(status, done, skv_graph_unique_name(s->node->graph, old ? old->name : s->node->name, &name));
    SKV_GO(status, done, skv_graph_new_param(s->node->graph, name, storage, &fresh));
    storage = NULL;
    SKV_GO(status, done, skv_node_set_input(s->node, i, fresh));
    if (old && !skv_value_is_read(old)) { /* its name passes on */
        name = old->name;
        SKV_GO(status, done, skv_graph_remove_value(old));
        status = skv_value_rename(fresh, name);
    }
done:
    skv_storage_release(storage);
    return status;
}

/* ---- the edit ---- */

/* What goes and what is left, by value and axis. */
static skive_status mark(skv_shrink *s, const size_t *channels, size_t n) {
    const skive_coupling *k = s->k;
    skive_context *ctx = s->before->ctx;
    const size_t slots = (size_t)s->n_values * SKIVE_MAX_RANK;
    SKV_TRY(skv_alloc_array(ctx, k->work.n + 1, sizeof *s->keep, &s->keep));
    SKV_TRY(skv_alloc_array(ctx, slots + 1, sizeof *s->loses, &s->loses));
    SKV_TRY(skv_alloc_array(ctx, slots + 1, sizeof *s->after, &s->after));
    memset(s->keep, 1, k->work.n);
    for (uint32_t v = 0; v < s->n_values; v++) {
        const skive_type *t = &k->work.values[v]->type;
        for (int d = 0; d < t->rank; d++) s->after[(size_t)v * SKIVE_MAX_RANK + (size_t)d] = t->dims[d].size;
    }
    for (size_t i = 0; i < n; i++) {
        if (channels[i] >= k->n)
            return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "there is no channel %zu; there are %zu", channels[i], k->n);
        for (size_t e = k->first[channels[i]]; e < k->first[channels[i] + 1]; e++) {
            const skive_channel_slice *c = &k->slices[e];
            const size_t slot = slot_of(s, c->value, c->axis);
            bool *keep = &s->keep[k->work.slots[slot].first + c->index];
            if (!*keep) continue;
            *keep = false;
            s->loses[slot] = true;
            if (--s->after[slot] == 0)
                return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, c->value->name,
                                   "nothing would remain of axis %d of '%s' (%lld channels); keep at least one",
                                   c->axis, c->value->name, (long long)k->work.slots[slot].length);
        }
    }
    return SKIVE_OK;
}

/* The slices of a parameter that are kept, in the form that it has if that still describes them exactly. */
static skive_status select_storage(skive_context *ctx, const skv_storage *from, const bool *const *keep,
                                   skv_storage **out) {
    skive_tensor dense = {0}, kept = {0};
    skv_coded coded = {0};
    bool fits = false;
    skive_status status = SKIVE_OK;
    if (from->coded) SKV_TRY(skv_storage_inflate(ctx, from, &dense));
    SKV_GO(status, done, skv_tensor_select(ctx, from->coded ? &dense : &from->tensor, keep, &kept));
    if (from->coded && from->form->describe) SKV_GO(status, done, from->form->describe(ctx, &kept, &coded, &fits));
    if (fits) {
        status = skv_storage_take_coded(ctx, &coded, out);
        if (status != SKIVE_OK) skv_coded_free(ctx, &coded);
    } else {
        status = skv_storage_take(ctx, &kept, out);
    }
done:
    skive_tensor_free(ctx, &dense);
    skive_tensor_free(ctx, &kept);
    return status;
}

static skive_status shrink_value(skv_shrink *s, const skive_value *was, skive_value *v) {
    const bool *keep[SKIVE_MAX_RANK] = {NULL};
    bool any = false;
    for (int d = 0; d < v->type.rank; d++) {
        keep[d] = mask_of(s, was, d);
        any = any || keep[d];
    }
    if (!any) return SKIVE_OK;
    if (v->storage) {
        skv_storage *storage = NULL;
        SKV_TRY(select_storage(s->graph->ctx, v->storage, keep, &storage));
        const skive_status status = skv_value_set_storage(v, storage);
        if (status != SKIVE_OK) skv_storage_release(storage);
        return status;
    }
    for (int d = 0; d < v->type.rank; d++)
        if (keep[d]) v->type.dims[d].size = s->after[slot_of(s, was, d)];
    return SKIVE_OK;
}

static bool loses_any(const skv_shrink *s, const skive_value *v) {
    for (int d = 0; v && d < v->type.rank; d++)
        if (s->loses[slot_of(s, v, d)]) return true;
    return false;
}

static skive_status shrink_node(skv_shrink *s, const skive_node *was, skive_node *n) {
    bool any = false;
    for (uint32_t k = 0; k < was->n_inputs; k++) any = any || loses_any(s, was->inputs[k]);
    for (uint32_t k = 0; k < was->n_outputs; k++) any = any || loses_any(s, was->outputs[k]);
    if (!any || !was->op || !was->op->shrink) return SKIVE_OK;
    s->was = was;
    s->node = n;
    return was->op->shrink(s);
}

/* The types that the edited graph has are those that it should have. */
static skive_status compare_type(skv_shrink *s, const skive_value *was, skive_value *v) {
    const skive_type *old = &was->type;
    if (v->removed) return SKIVE_OK;
    bool same = old->rank < 0 || v->type.rank == old->rank;
    for (int d = 0; same && d < old->rank; d++) {
        const int64_t want = s->after[slot_of(s, was, d)], have = v->type.dims[d].size;
        same = want < 0 || have < 0 || want == have;
    }
    if (same) return SKIVE_OK;
    char text[SKV_DIMS_TEXT + 32];
    skv_type_text(&v->type, text, sizeof text);
    return skv_fail_at(s->graph->ctx, SKIVE_ERR_UNSUPPORTED, v->name,
                       "the channels cannot be removed: '%s', computed by %s, becomes %s, which is not expected",
                       v->name, v->producer ? v->producer->op_type : "nothing", text);
}

/* Visits the values or nodes of the graph and its subgraphs, before and in the copy. */
typedef skive_status (*value_fn)(skv_shrink *s, const skive_value *was, skive_value *v);
typedef skive_status (*node_fn)(skv_shrink *s, const skive_node *was, skive_node *n);
static skive_status visit(skv_shrink *s, const skive_graph *was, skive_graph *g, value_fn value, node_fn node) {
    for (uint32_t i = 0; value && i < was->n_values; i++) SKV_TRY(value(s, was->values[i], g->values[i]));
    for (uint32_t i = 0; i < was->n_nodes; i++) {
        const skive_node *n = was->nodes[i];
        for (uint32_t a = 0; was->nests && a < n->n_attrs; a++)
            if (n->attrs[a].graph) SKV_TRY(visit(s, n->attrs[a].graph, g->nodes[i]->attrs[a].graph, value, node));
        if (node) SKV_TRY(node(s, n, g->nodes[i]));
    }
    return SKIVE_OK;
}

/* So that ids stay the same. */
static void hold(skive_graph *g, bool begin) {
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++)
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++)
            if (g->nodes[i]->attrs[a].graph) hold(g->nodes[i]->attrs[a].graph, begin);
    if (begin)
        skv_graph_hold(g);
    else
        skv_graph_settle(g);
}

skive_status skv_graph_without_channels(const skive_graph *g, const skive_coupling *k, const size_t *channels, size_t n,
                                        skive_graph **out) {
    skv_shrink s = {.k = k, .before = g};
    skive_status status;
    s.n_values = k->work.n_values;
    const uint32_t n_own = k->work.n_graphs > 1 ? k->work.graphs[1].first : k->work.n_values;
    if (k->graph != g || g->n_values != n_own)
        return SKV_FAIL(g->ctx, SKIVE_ERR_ARGUMENT,
                        "the coupling was made of another graph, or the graph has changed since: make it again");
    *out = NULL;
    if (n == 0) return skive_graph_copy(g->ctx, g, out);
    SKV_GO(status, done, mark(&s, channels, n));
    SKV_GO(status, done, skive_graph_copy(g->ctx, g, &s.graph));
    SKV_GO(status, done, visit(&s, g, s.graph, shrink_value, NULL));
    hold(s.graph, true);
    SKV_GO(status, done, visit(&s, g, s.graph, NULL, shrink_node));
    SKV_GO(status, done, skv_graph_infer_nested(s.graph));
    SKV_GO(status, done, visit(&s, g, s.graph, compare_type, NULL));
    hold(s.graph, false);
    SKV_GO(status, done, skive_graph_check(s.graph));
    *out = s.graph;
    s.graph = NULL;
done:
    skive_graph_free(s.graph);
    skv_free(g->ctx, s.keep);
    skv_free(g->ctx, s.loses);
    skv_free(g->ctx, s.after);
    return status;
}

skive_status skive_graph_remove_channels(skive_graph *g, const skive_coupling *k, const size_t *channels, size_t n) {
    skive_graph *smaller = NULL;
    SKV_NEED(g ? g->ctx : NULL, "graph, coupling, channels", g, k, channels || n == 0);
    SKV_TRY(skv_graph_without_channels(g, k, channels, n, &smaller));
    if (n)
        skive_graph_take(g, smaller);
    else
        skive_graph_free(smaller);
    return SKIVE_OK;
}

/* A table in which positions are looked up has none of the axes that shrink. */
static bool is_looked_up(const skive_value *v) {
    for (uint32_t u = 0; u < v->n_uses; u++)
        if (!skv_node_is(v->uses[u].node, SKV_OP_GATHER) || v->uses[u].index != 0) return false;
    return true;
}

static skive_status untie(skive_graph *g) {
    const uint32_t n_values = g->n_values;
    for (uint32_t i = 0; i < n_values; i++) {
        skive_value *v = g->values[i];
        const bool list = v->type.dtype == SKIVE_I64; /* of sizes */
        if (!v->storage || v->trainable || v->type.rank != 1 || v->type.dims[0].size < 2 || list) continue;
        if (is_looked_up(v)) continue;
        for (uint32_t u = v->n_uses; u-- > 1;) {
            const skv_use use = v->uses[u];
            skive_value *own = NULL;
            const char *name = NULL;
            SKV_TRY(skv_graph_unique_name(g, v->name, &name));
            skv_storage *storage = skv_storage_retain(v->storage);
            const skive_status status = skv_graph_new_param(g, name, storage, &own);
            if (status != SKIVE_OK) skv_storage_release(storage);
            SKV_TRY(status);
            own->keeps_zeros = v->keeps_zeros;
            SKV_TRY(skv_node_set_input(use.node, (size_t)use.index, own));
        }
    }
    return SKIVE_OK;
}

skive_status skive_graph_untie_constants(skive_graph *g) {
    SKV_NEED(g ? g->ctx : NULL, "graph", g);
    skive_graph *copy = NULL;
    SKV_TRY(skive_graph_copy(g->ctx, g, &copy));
    const skive_status status = untie(copy);
    if (status == SKIVE_OK)
        skive_graph_take(g, copy);
    else
        skive_graph_free(copy);
    return status;
}
