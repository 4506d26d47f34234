/* Copies of graphs, whole and into another graph. */
#include <stdio.h>
#include <string.h>

#include "graph/internal.h"
#include "graph/op.h"

static skive_status copy_type(skv_arena *arena, const skive_type *from, skive_type *to) {
    *to = *from;
    for (int d = 0; d < from->rank; d++) {
        if (from->dims[d].symbol) SKV_TRY(skv_arena_strdup(arena, from->dims[d].symbol, &to->dims[d].symbol));
    }
    return SKIVE_OK;
}

skive_status skv_graph_copy_node(skive_graph *g, const skive_node *from, const char *name, skive_value *const *map) {
    skive_value **inputs = NULL, **outputs = NULL;
    skive_node *n = NULL;
    SKV_TRY(skv_arena_array(g->arena, (size_t)from->n_inputs + 1, sizeof *inputs, &inputs));
    SKV_TRY(skv_arena_array(g->arena, (size_t)from->n_outputs + 1, sizeof *outputs, &outputs));
    for (uint32_t i = 0; i < from->n_inputs; i++) inputs[i] = from->inputs[i] ? map[from->inputs[i]->id] : NULL;
    for (uint32_t i = 0; i < from->n_outputs; i++) outputs[i] = from->outputs[i] ? map[from->outputs[i]->id] : NULL;
    SKV_TRY(
        skv_graph_new_node(g, from->op_type, from->domain, name, inputs, from->n_inputs, outputs, from->n_outputs, &n));
    SKV_TRY(skv_arena_array(g->arena, (size_t)from->n_attrs + 1, sizeof *n->attrs, &n->attrs));
    for (uint32_t a = 0; a < from->n_attrs; a++) {
        SKV_TRY(skv_attr_copy(g, &from->attrs[a], map, &n->attrs[a]));
        n->n_attrs++;
        g->nests = g->nests || n->attrs[a].graph;
    }
    return SKIVE_OK;
}

skive_status skv_graph_copy_value(skive_graph *g, const skive_value *from, const char *name, skive_value **out) {
    SKV_TRY(skv_graph_new_value(g, name, out));
    SKV_TRY(copy_type(g->arena, &from->type, &(*out)->type));
    (*out)->storage = skv_storage_retain(from->storage);
    (*out)->trainable = from->trainable;
    (*out)->keeps_zeros = from->keeps_zeros;
    (*out)->state = from->state;
    return SKIVE_OK;
}

static skive_status copy_contents(skive_graph *g, const skive_graph *from, skive_value *const *outer_map,
                                  skive_value **map) {
    for (uint32_t i = 0; i < from->n_values; i++) {
        SKV_TRY(skv_graph_copy_value(g, from->values[i], from->values[i]->name, &map[i]));
        map[i]->is_input = from->values[i]->is_input;
        if (from->values[i]->outer && outer_map) map[i]->outer = outer_map[from->values[i]->outer->id];
    }
    for (uint32_t i = 0; i < from->n_inputs; i++) {
        SKV_TRY(skv_reserve(g->ctx, &g->inputs, g->n_inputs, &g->inputs_capacity, sizeof(skive_value *)));
        g->inputs[g->n_inputs++] = map[from->inputs[i]->id];
    }
    for (uint32_t i = 0; i < from->n_nodes; i++)
        SKV_TRY(skv_graph_copy_node(g, from->nodes[i], from->nodes[i]->name, map));
    for (uint32_t i = 0; i < from->n_outputs; i++) SKV_TRY(skive_graph_add_output(g, map[from->outputs[i]->id]));
    for (uint32_t i = 0; i < from->n_meta; i++)
        SKV_TRY(skive_graph_set_meta(g, from->meta[i].key, from->meta[i].value));
    g->opset = from->opset;
    g->mean_from = from->mean_from;
    g->scale_from = from->scale_from;
    g->next_name = from->next_name;
    return SKIVE_OK;
}

skive_status skv_graph_copy_under(skive_context *ctx, const skive_graph *from, skive_graph *parent,
                                  skive_value *const *outer_map, skive_graph **out) {
    skive_graph *g = NULL;
    skive_value **map = NULL;
    *out = NULL;
    SKV_TRY(skive_graph_create(ctx, from->name, &g));
    g->parent = parent;
    skive_status status = skv_alloc_array(ctx, (size_t)from->n_values + 1, sizeof(skive_value *), &map);
    if (status == SKIVE_OK) status = copy_contents(g, from, outer_map, map);
    skv_free(ctx, map);
    if (status != SKIVE_OK) {
        skive_graph_free(g);
        return status;
    }
    *out = g;
    return SKIVE_OK;
}

skive_status skive_graph_copy(skive_context *ctx, const skive_graph *from, skive_graph **out) {
    SKV_NEED(ctx, "ctx, graph, out", ctx, from, out);
    return skv_graph_copy_under(ctx, from, NULL, NULL, out);
}

static skive_status prefixed(skive_graph *g, const char *prefix, const char *name, const char **out) {
    char text[256];
    snprintf(text, sizeof text, "%.*s%.*s", skv_utf8_prefix(prefix ? prefix : "", 60), prefix ? prefix : "",
             skv_utf8_prefix(name, 190), name);
    return skv_graph_unique_name(g, text, out);
}

/* The graph as it was before a merge that failed. */
static void drop_after(skive_graph *g, uint32_t n_nodes, uint32_t n_values) {
    skv_graph_hold(g);
    for (uint32_t i = g->n_nodes; i-- > n_nodes;) {
        if (skv_graph_remove_node(g->nodes[i]) != SKIVE_OK) break;
    }
    for (uint32_t i = g->n_values; i-- > n_values;) {
        if (!g->values[i]->producer) skv_graph_remove_value(g->values[i]);
    }
    skv_graph_settle(g);
}

static skive_status merge(skive_graph *g, const skive_graph *from, const char *prefix, skive_value *const *bind,
                          skive_value **map) {
    for (uint32_t i = 0; i < from->n_inputs; i++) {
        if (bind && bind[i]) map[from->inputs[i]->id] = bind[i];
    }
    for (uint32_t i = 0; i < from->n_values; i++) {
        const skive_value *v = from->values[i];
        const char *name = NULL;
        if (map[i]) continue;
        if (v->outer && v->outer->graph == g) { /* a subgraph of g merged into it */
            map[i] = v->outer;
            continue;
        }
        if (v->is_input) {
            return skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, v->name, "input '%s' of the merged graph is not bound",
                               v->name);
        }
        SKV_TRY(prefixed(g, prefix, v->name, &name));
        SKV_TRY(skv_graph_copy_value(g, v, name, &map[i]));
    }
    for (uint32_t i = 0; i < from->n_nodes; i++) {
        char name[256];
        snprintf(name, sizeof name, "%.*s%.*s", skv_utf8_prefix(prefix ? prefix : "", 60), prefix ? prefix : "",
                 skv_utf8_prefix(from->nodes[i]->name, 190), from->nodes[i]->name);
        SKV_TRY(skv_graph_copy_node(g, from->nodes[i], skive_graph_find_node(g, name) ? NULL : name, map));
    }
    return SKIVE_OK;
}

skive_status skv_graph_merge(skive_graph *g, const skive_graph *from, const char *prefix,
                             skive_value *const *bind_inputs, skive_value ***out) {
    const uint32_t n_nodes = g->n_nodes, n_values = g->n_values;
    skive_value **map = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(g->ctx, (size_t)from->n_values + 1, sizeof *map, &map));
    const skive_status status = merge(g, from, prefix, bind_inputs, map);
    if (status != SKIVE_OK) {
        drop_after(g, n_nodes, n_values);
        skv_free(g->ctx, map);
        return status;
    }
    *out = map;
    return SKIVE_OK;
}
