/* Edits. What can fail is done before anything changes. */
#include <string.h>

#include "graph/internal.h"

skive_status skv_node_set_input(skive_node *n, size_t index, skive_value *value) {
    if (value && value->graph != n->graph) {
        return skv_fail_at(n->graph->ctx, SKIVE_ERR_ARGUMENT, n->name, "'%s' belongs to another graph", value->name);
    }
    if (value) SKV_TRY(skv_use_reserve(value, 1));
    if (index >= n->n_inputs) {
        skive_value **inputs = NULL;
        uint32_t *uses_at = NULL;
        SKV_TRY(skv_arena_array(n->graph->arena, index + 2, sizeof *inputs, &inputs));
        SKV_TRY(skv_arena_array(n->graph->arena, index + 2, sizeof *uses_at, &uses_at));
        if (n->n_inputs) memcpy(inputs, n->inputs, n->n_inputs * sizeof *inputs);
        if (n->n_inputs) memcpy(uses_at, n->uses_at, n->n_inputs * sizeof *uses_at);
        n->inputs = inputs;
        n->uses_at = uses_at;
        n->n_inputs = (uint32_t)index + 1;
    }
    if (n->inputs[index]) skv_use_remove(n->inputs[index], n, (int)index);
    n->inputs[index] = value;
    if (value) skv_use_add(value, n, (int)index);
    return SKIVE_OK;
}

skive_status skv_node_drop_input(skive_node *n) {
    if (n->n_inputs == 0)
        return skv_fail_at(n->graph->ctx, SKIVE_ERR_ARGUMENT, n->name, "node '%s' has no input", n->name);
    SKV_TRY(skv_node_set_input(n, n->n_inputs - 1, NULL));
    n->n_inputs--;
    return SKIVE_OK;
}

/* Subgraphs that see `from` see `to`. */
static void move_captures(const skive_value *from, skive_value *to) {
    const skive_graph *g = from->graph;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++) {
            const skive_graph *sub = g->nodes[i]->attrs[a].graph;
            for (uint32_t v = 0; sub && v < sub->n_values; v++)
                if (sub->values[v]->outer == from) sub->values[v]->outer = to;
        }
    }
}

skive_status skv_value_replace_uses(skive_value *from, skive_value *to, bool outputs_too) {
    skive_graph *g = from->graph;
    if (from == to) return SKIVE_OK;
    SKV_TRY(skv_use_reserve(to, from->n_uses));
    for (uint32_t i = 0; i < from->n_uses; i++) {
        const skv_use use = from->uses[i];
        use.node->inputs[use.index] = to;
        skv_use_add(to, use.node, use.index);
    }
    from->n_uses = 0;
    if (g->nests) move_captures(from, to);
    for (uint32_t i = 0; outputs_too && from->output_uses && i < g->n_outputs; i++) {
        if (g->outputs[i] != from) continue;
        skv_type_fill(&to->type, &from->type); /* what was declared of the output stays declared */
        g->outputs[i] = to;
        from->output_uses--;
        to->output_uses++;
    }
    return SKIVE_OK;
}

skive_status skv_value_replace_first_uses(skive_value *from, uint32_t n, skive_value *to) {
    while (n-- > 0) { /* last first: the last use takes the place of one that goes */
        const skv_use use = from->uses[n];
        SKV_TRY(skv_node_set_input(use.node, (size_t)use.index, to));
    }
    return SKIVE_OK;
}

/* The arrays without what was removed, from the first place where there may be such. */
static void close_values(skive_graph *g, uint32_t first) {
    uint32_t n = first;
    for (uint32_t i = first; i < g->n_values; i++) {
        if (g->values[i]->removed) continue;
        g->values[n] = g->values[i];
        g->values[n]->id = n;
        n++;
    }
    g->n_values = n;
}

static void close_nodes(skive_graph *g, uint32_t first) {
    uint32_t n = first;
    for (uint32_t i = first; i < g->n_nodes; i++) {
        if (g->nodes[i]->removed) continue;
        g->nodes[n] = g->nodes[i];
        g->nodes[n]->id = n;
        n++;
    }
    g->n_nodes = n;
}

void skv_graph_hold(skive_graph *g) { g->holds++; }

void skv_graph_settle(skive_graph *g) {
    if (--g->holds) return;
    close_values(g, 0);
    close_nodes(g, 0);
}

/* Takes value `v` out of the tables; nothing refers to it any more. */
static void unlink_value(skive_value *v) {
    skive_graph *g = v->graph;
    skv_names_remove(g->name_index, v);
    skv_storage_release(v->storage);
    skv_free(g->ctx, v->uses);
    v->storage = NULL;
    v->uses = NULL;
    v->uses_capacity = v->n_uses = 0;
    v->producer = NULL;
    v->outer = NULL;
    v->removed = true;
    if (!g->holds) close_values(g, v->id);
}

skive_status skv_graph_remove_value(skive_value *v) {
    skive_graph *g = v->graph;
    if (v->removed) return SKIVE_OK;
    if (v->producer || skv_value_is_read(v)) {
        return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, v->name, "value '%s' is still in use", v->name);
    }
    for (uint32_t i = 0; v->is_input && i < g->n_inputs; i++) {
        if (g->inputs[i] != v) continue;
        memmove(&g->inputs[i], &g->inputs[i + 1], (g->n_inputs - i - 1) * sizeof *g->inputs);
        g->n_inputs--;
        break;
    }
    v->is_input = false;
    unlink_value(v);
    return SKIVE_OK;
}

skive_status skv_graph_remove_node(skive_node *n) {
    skive_graph *g = n->graph;
    if (n->removed) return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const skive_value *v = n->outputs[i];
        if (v && skv_value_is_read(v)) {
            return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, n->name, "node '%s' cannot be removed: its output '%s' is used",
                               n->name, v->name);
        }
    }
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i]) skv_use_remove(n->inputs[i], n, (int)i);
    }
    for (uint32_t i = n->n_outputs; i-- > 0;) {
        if (n->outputs[i]) unlink_value(n->outputs[i]);
    }
    for (uint32_t i = 0; i < n->n_attrs; i++) skv_attr_release(&n->attrs[i]);
    n->n_attrs = 0;
    skv_names_remove(g->node_index, n);
    n->removed = true;
    if (g->holds) {
        n->kind = SKV_OP_NONE;
        n->op = NULL; /* so that nothing recognises it in the place that it keeps */
        n->op_type = n->domain = "";
    } else {
        close_nodes(g, n->id);
    }
    return SKIVE_OK;
}

skive_status skv_value_rename(skive_value *v, const char *name) {
    skive_graph *g = v->graph;
    const char *copy = NULL;
    const skive_value *other = skv_names_find(g->name_index, name);
    if (other == v) return SKIVE_OK;
    if (other)
        return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, name, "the name '%s' is already used by another value", name);
    SKV_TRY(skv_arena_strdup(g->arena, name, &copy));
    skv_names_remove(g->name_index, v);
    v->name = copy;
    skv_names_insert(g->name_index, v);
    return SKIVE_OK;
}

skive_status skive_value_rename(skive_value *v, const char *name) {
    SKV_NEED(v ? v->graph->ctx : NULL, "value, name", v, name);
    if (!name[0]) return SKV_FAIL(v->graph->ctx, SKIVE_ERR_ARGUMENT, "a value's name cannot be empty");
    return skv_value_rename(v, name);
}

skive_status skv_value_take_name(skive_value *to, skive_value *from) {
    const char *name = from->name, *spare;
    SKV_TRY(skv_graph_unique_name(from->graph, name, &spare));
    SKV_TRY(skv_value_rename(from, spare));
    return skv_value_rename(to, name);
}

skive_status skv_value_set_storage(skive_value *v, skv_storage *take) {
    if (v->producer || v->is_input || v->outer) {
        return skv_fail_at(v->graph->ctx, SKIVE_ERR_ARGUMENT, v->name, "'%s' is not a parameter", v->name);
    }
    skv_storage_release(v->storage);
    v->storage = take;
    v->type = skive_type_make(take->tensor.dtype, take->tensor.rank, take->tensor.dims);
    return SKIVE_OK;
}

skive_status skive_value_set_data(skive_value *v, const skive_tensor *tensor) {
    SKV_NEED(v ? v->graph->ctx : NULL, "value, tensor", v, tensor);
    skv_storage *storage = NULL;
    SKV_TRY(skv_storage_from_tensor(v->graph->ctx, tensor, &storage));
    const skive_status status = skv_value_set_storage(v, storage);
    if (status != SKIVE_OK) skv_storage_release(storage);
    return status;
}

skive_status skv_graph_remove_output(skive_graph *g, size_t index) {
    if (index >= g->n_outputs) return SKV_FAIL(g->ctx, SKIVE_ERR_ARGUMENT, "there is no output %zu", index);
    g->outputs[index]->output_uses--;
    memmove(&g->outputs[index], &g->outputs[index + 1], (g->n_outputs - index - 1) * sizeof *g->outputs);
    g->n_outputs--;
    return SKIVE_OK;
}
