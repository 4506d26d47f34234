/* The life of a graph, and reading it. */
#include "graph/graph.h"

#include <string.h>

#include "graph/internal.h"
#include "graph/meta_keys.h"

skive_status skv_reserve(skive_context *ctx, void *array, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity) return SKIVE_OK;
    if (count >= UINT32_MAX / 2) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "the graph is too large");
    const uint32_t bigger = *capacity ? *capacity * 2 : 8;
    SKV_TRY(skv_grow(ctx, array, *capacity, bigger, size));
    *capacity = bigger;
    return SKIVE_OK;
}

skive_status skive_graph_create(skive_context *ctx, const char *name, skive_graph **out) {
    SKV_NEED(ctx, "ctx, out", ctx, out);
    skive_graph *g = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *g, &g));
    g->ctx = ctx;
    g->opset = 21;
    skive_status status = skv_arena_create(ctx, &g->arena);
    if (status == SKIVE_OK) status = skv_names_create(ctx, offsetof(skive_value, name), &g->name_index);
    if (status == SKIVE_OK) status = skv_names_create(ctx, offsetof(skive_node, name), &g->node_index);
    if (status == SKIVE_OK) status = skv_arena_strdup(g->arena, name ? name : "graph", &g->name);
    if (status != SKIVE_OK) {
        skive_graph_free(g);
        return status;
    }
    *out = g;
    return SKIVE_OK;
}

/* Everything but the struct itself. */
static void release_contents(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        skive_node *n = g->nodes[i];
        for (uint32_t a = 0; a < n->n_attrs; a++) skv_attr_release(&n->attrs[a]);
    }
    for (uint32_t i = 0; i < g->n_values; i++) {
        skv_storage_release(g->values[i]->storage);
        skv_free(g->ctx, g->values[i]->uses);
    }
    skv_free(g->ctx, g->nodes);
    skv_free(g->ctx, g->values);
    skv_free(g->ctx, g->inputs);
    skv_free(g->ctx, g->outputs);
    skv_free(g->ctx, g->meta);
    skv_names_free(g->ctx, g->name_index);
    skv_names_free(g->ctx, g->node_index);
    if (g->arena) skv_arena_free(g->arena);
}

void skive_graph_free(skive_graph *g) {
    if (!g) return;
    release_contents(g);
    skv_free(g->ctx, g);
}

static void adopt(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) g->values[i]->graph = g;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        g->nodes[i]->graph = g;
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++) {
            if (g->nodes[i]->attrs[a].graph) g->nodes[i]->attrs[a].graph->parent = g;
        }
    }
}

void skive_graph_take(skive_graph *graph, skive_graph *other) {
    if (!graph || !other || graph == other) return;
    skive_graph *parent = graph->parent;
    release_contents(graph);
    *graph = *other;
    graph->parent = parent;
    adopt(graph);
    skv_free(graph->ctx, other);
}

/* ---- reading ---- */

const char *skive_graph_name(const skive_graph *g) { return g ? g->name : NULL; }
uint64_t skive_graph_external_bytes(const skive_graph *g) { return g ? g->external_bytes : 0; }
size_t skive_graph_node_count(const skive_graph *g) { return g ? g->n_nodes : 0; }
skive_node *skive_graph_node(const skive_graph *g, size_t i) { return g && i < g->n_nodes ? g->nodes[i] : NULL; }
size_t skive_graph_value_count(const skive_graph *g) { return g ? g->n_values : 0; }
skive_value *skive_graph_value(const skive_graph *g, size_t i) { return g && i < g->n_values ? g->values[i] : NULL; }
size_t skive_graph_input_count(const skive_graph *g) { return g ? g->n_inputs : 0; }
skive_value *skive_graph_input(const skive_graph *g, size_t i) { return g && i < g->n_inputs ? g->inputs[i] : NULL; }
size_t skive_graph_output_count(const skive_graph *g) { return g ? g->n_outputs : 0; }
skive_value *skive_graph_output(const skive_graph *g, size_t i) { return g && i < g->n_outputs ? g->outputs[i] : NULL; }
skive_value *skive_graph_find_value(const skive_graph *g, const char *name) {
    return g && name ? skv_names_find(g->name_index, name) : NULL;
}

skive_node *skive_graph_find_node(const skive_graph *g, const char *name) {
    return g && name ? skv_names_find(g->node_index, name) : NULL;
}

const char *skive_value_name(const skive_value *v) { return v ? v->name : NULL; }
const skive_type *skive_value_type(const skive_value *v) { return v ? &v->type : NULL; }
skive_node *skive_value_producer(const skive_value *v) { return v ? v->producer : NULL; }
const skive_tensor *skive_value_data(const skive_value *v) { return v ? skv_value_tensor(v) : NULL; }
bool skive_value_is_trainable(const skive_value *v) { return v && v->trainable; }

skive_status skive_value_set_trainable(skive_value *v, bool trainable) {
    SKV_NEED(v ? v->graph->ctx : NULL, "value", v);
    if (trainable && !v->storage) {
        return skv_fail_at(v->graph->ctx, SKIVE_ERR_ARGUMENT, v->name, "'%s' is not a parameter", v->name);
    }
    v->trainable = trainable;
    return SKIVE_OK;
}

const char *skive_node_name(const skive_node *n) { return n ? n->name : NULL; }
const char *skive_node_op(const skive_node *n) { return n ? n->op_type : NULL; }
const char *skive_node_domain(const skive_node *n) { return n ? n->domain : NULL; }
size_t skive_node_input_count(const skive_node *n) { return n ? n->n_inputs : 0; }
skive_value *skive_node_input(const skive_node *n, size_t i) { return n ? skv_node_in(n, i) : NULL; }
size_t skive_node_subgraph_count(const skive_node *n) {
    size_t count = 0;
    for (uint32_t i = 0; n && i < n->n_attrs; i++) count += n->attrs[i].graph != NULL;
    return count;
}

const skive_graph *skive_node_subgraph(const skive_node *n, size_t index, const char **attribute) {
    for (uint32_t i = 0; n && i < n->n_attrs; i++) {
        if (!n->attrs[i].graph || index-- > 0) continue;
        if (attribute) *attribute = n->attrs[i].name;
        return n->attrs[i].graph;
    }
    return NULL;
}

size_t skive_node_output_count(const skive_node *n) { return n ? n->n_outputs : 0; }
skive_value *skive_node_output(const skive_node *n, size_t i) { return n && i < n->n_outputs ? n->outputs[i] : NULL; }
void skive_string_free(skive_context *ctx, char *text) { skv_free(ctx, text); }

/* ---- metadata ---- */

static skv_meta *find_meta(const skive_graph *g, const char *key) {
    for (uint32_t i = 0; i < g->n_meta; i++) {
        if (strcmp(g->meta[i].key, key) == 0) return &g->meta[i];
    }
    return NULL;
}

const char *skive_graph_meta(const skive_graph *g, const char *key) {
    const skv_meta *m = g && key ? find_meta(g, key) : NULL;
    return m ? m->value : NULL;
}

const char *skv_graph_multipliers(const skive_graph *g) {
    while (g->parent) g = g->parent;
    return skive_graph_meta(g, SKV_META_MULTIPLIERS);
}

skive_status skive_graph_set_meta(skive_graph *g, const char *key, const char *value) {
    SKV_NEED(g ? g->ctx : NULL, "graph, key", g, key);
    skv_meta *m = find_meta(g, key);
    if (!value) {
        if (m) *m = g->meta[--g->n_meta];
        return SKIVE_OK;
    }
    skv_meta fresh = {0};
    SKV_TRY(skv_arena_strdup(g->arena, value, &fresh.value));
    if (m) {
        m->value = fresh.value;
        return SKIVE_OK;
    }
    SKV_TRY(skv_arena_strdup(g->arena, key, &fresh.key));
    SKV_TRY(skv_reserve(g->ctx, &g->meta, g->n_meta, &g->meta_capacity, sizeof *g->meta));
    g->meta[g->n_meta++] = fresh;
    return SKIVE_OK;
}
