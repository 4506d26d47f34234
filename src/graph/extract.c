/* Parts of a graph as graphs of their own: some of its nodes, or one of its subgraphs. */
#include <string.h>

#include "graph/internal.h"
#include "graph/meta_keys.h"

static void see_captured(const skive_graph *sub, const skive_graph *g, void (*see)(void *, skive_value *), void *user) {
    for (uint32_t i = 0; i < sub->n_values; i++) {
        skive_value *outer = sub->values[i]->outer;
        while (outer && outer->graph != g) outer = outer->outer;
        if (outer) see(user, outer);
    }
    for (uint32_t i = 0; i < sub->n_nodes; i++) {
        const skive_node *n = sub->nodes[i];
        for (uint32_t a = 0; a < n->n_attrs; a++)
            if (n->attrs[a].graph) see_captured(n->attrs[a].graph, g, see, user);
    }
}

void skv_node_reads(const skive_node *n, void (*see)(void *user, skive_value *v), void *user) {
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i]) see(user, n->inputs[i]);
    for (uint32_t a = 0; a < n->n_attrs; a++)
        if (n->attrs[a].graph) see_captured(n->attrs[a].graph, n->graph, see, user);
}

/* By value id: read by a node that is kept, or by one that is not. */
typedef struct reading {
    bool *by_kept, *by_rest;
    bool now_kept;
} reading;

static void mark(void *user, skive_value *v) {
    reading *r = user;
    (r->now_kept ? r->by_kept : r->by_rest)[v->id] = true;
}

static skive_status fill(skive_graph *part, const skive_graph *g, const bool *keep, const reading *r,
                         skive_value **map) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        const bool computed = v->producer && keep[v->producer->id];
        if (!computed && !r->by_kept[i]) continue;
        SKV_TRY(skv_graph_copy_value(part, v, v->name, &map[i]));
        if (computed || v->storage) continue;
        SKV_TRY(skv_reserve(part->ctx, &part->inputs, part->n_inputs, &part->inputs_capacity, sizeof(skive_value *)));
        part->inputs[part->n_inputs++] = map[i];
        map[i]->is_input = true;
    }
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (keep[i]) SKV_TRY(skv_graph_copy_node(part, g->nodes[i], g->nodes[i]->name, map));
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (v->producer && keep[v->producer->id] && (r->by_rest[i] || v->output_uses))
            SKV_TRY(skive_graph_add_output(part, map[i]));
    }
    part->opset = g->opset;
    part->next_name = g->next_name;
    return skive_graph_set_meta(part, SKV_META_MULTIPLIERS, skv_graph_multipliers(g));
}

skive_status skv_graph_extract(skive_context *ctx, const skive_graph *g, const bool *keep, skive_graph **out) {
    skive_graph *part = NULL;
    skive_value **map = NULL;
    reading r = {0};
    skive_status status;
    *out = NULL;
    SKV_GO(status, done, skive_graph_create(ctx, g->name, &part));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *map, &map));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof(bool), &r.by_kept));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof(bool), &r.by_rest));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        r.now_kept = keep[i];
        skv_node_reads(g->nodes[i], mark, &r);
    }
    SKV_GO(status, done, fill(part, g, keep, &r, map));
    *out = part;
    part = NULL;
done:
    skive_graph_free(part);
    skv_free(ctx, map);
    skv_free(ctx, r.by_kept);
    skv_free(ctx, r.by_rest);
    return status;
}

skive_status skv_graph_detach(skive_context *ctx, const skive_graph *sub, skive_graph **out, skive_value ***captured) {
    skive_graph *g = NULL;
    skive_value **list = NULL;
    size_t n = 0;
    skive_status status;
    *out = NULL;
    *captured = NULL;
    SKV_GO(status, fail, skv_graph_copy_under(ctx, sub, NULL, NULL, &g));
    SKV_GO(status, fail, skv_alloc_array(ctx, (size_t)sub->n_values + 1, sizeof *list, &list));
    for (uint32_t i = 0; i < sub->n_values; i++) {
        const skive_value *root = sub->values[i]->outer;
        skive_value *v = g->values[i];
        if (!root) continue;
        while (root->outer) root = root->outer;
        v->type = root->type;
        for (int d = 0; d < v->type.rank; d++) v->type.dims[d].symbol = NULL; /* the other graph's text */
        if (root->storage) {
            v->storage = skv_storage_retain(root->storage);
            continue;
        }
        SKV_GO(status, fail, skv_reserve(ctx, &g->inputs, g->n_inputs, &g->inputs_capacity, sizeof(skive_value *)));
        g->inputs[g->n_inputs++] = v;
        v->is_input = true;
        list[n++] = sub->values[i]->outer;
    }
    SKV_GO(status, fail, skive_graph_set_meta(g, SKV_META_MULTIPLIERS, skv_graph_multipliers(sub)));
    *out = g;
    *captured = list;
    return SKIVE_OK;
fail:
    skive_graph_free(g);
    skv_free(ctx, list);
    return status;
}
