/* Orders and reachability. */
#include <string.h>

#include "graph/internal.h"

/* Values of enclosing graphs count as known; a node waits for what its subgraphs capture of this graph. */
static bool captures_pending(const skive_graph *sub, const skive_graph *g, const bool *placed) {
    for (uint32_t i = 0; i < sub->n_values; i++) {
        const skive_value *outer = sub->values[i]->outer;
        while (outer && outer->graph != g) outer = outer->outer;
        if (outer && outer->producer && !placed[outer->producer->id]) return true;
    }
    for (uint32_t i = 0; i < sub->n_nodes; i++) {
        const skive_node *n = sub->nodes[i];
        for (uint32_t a = 0; a < n->n_attrs; a++) {
            if (n->attrs[a].graph && captures_pending(n->attrs[a].graph, g, placed)) return true;
        }
    }
    return false;
}

bool skv_node_has_subgraph(const skive_node *n) {
    for (uint32_t a = 0; a < n->n_attrs; a++) {
        if (n->attrs[a].graph) return true;
    }
    return false;
}

static bool subgraphs_ready(const skive_node *n, const bool *placed) {
    for (uint32_t a = 0; a < n->n_attrs; a++) {
        if (n->attrs[a].graph && captures_pending(n->attrs[a].graph, n->graph, placed)) return false;
    }
    return true;
}

/* Depth-first along the inputs, without recursion, starting from the nodes in insertion order: a graph that is already
 * in order keeps it. */
typedef struct frame {
    skive_node *node;
    uint32_t next_input;
} frame;

typedef enum mark { NEW, OPEN, PLACED } mark;

static skive_status cycle(const skive_graph *g, const skive_node *n) {
    return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, n->name, "node '%s' (%s) is part of a cycle", n->name, n->op_type);
}

static skive_status visit(const skive_graph *g, skive_node *start, mark *marks, frame *stack, skive_node **order,
                          uint32_t *count) {
    uint32_t depth = 0;
    if (marks[start->id] != NEW) return SKIVE_OK;
    stack[depth++] = (frame){start, 0};
    marks[start->id] = OPEN;
    while (depth) {
        frame *top = &stack[depth - 1];
        skive_node *n = top->node;
        if (top->next_input == n->n_inputs) {
            marks[n->id] = PLACED;
            order[(*count)++] = n;
            depth--;
            continue;
        }
        const skive_value *v = n->inputs[top->next_input++];
        if (!v || !v->producer || marks[v->producer->id] == PLACED) continue;
        if (marks[v->producer->id] == OPEN) return cycle(g, v->producer);
        marks[v->producer->id] = OPEN;
        stack[depth++] = (frame){v->producer, 0};
    }
    return SKIVE_OK;
}

/* With subgraphs the captured values order nodes too: repeated sweeps over what is ready. */
static skive_status sweep_order(const skive_graph *g, skive_node **order) {
    bool *placed = NULL;
    uint32_t count = 0;
    SKV_TRY(skv_alloc_array(g->ctx, (size_t)g->n_nodes + 1, sizeof *placed, &placed));
    for (bool progress = true; progress && count < g->n_nodes;) {
        progress = false;
        for (uint32_t i = 0; i < g->n_nodes; i++) {
            skive_node *n = g->nodes[i];
            if (placed[i]) continue;
            bool ready = true;
            for (uint32_t k = 0; ready && k < n->n_inputs; k++) {
                const skive_node *p = n->inputs[k] ? n->inputs[k]->producer : NULL;
                ready = !p || placed[p->id];
            }
            if (!ready || !subgraphs_ready(n, placed)) continue;
            placed[i] = true;
            order[count++] = n;
            progress = true;
        }
    }
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; count < g->n_nodes && i < g->n_nodes; i++) {
        if (placed[i]) continue;
        status = cycle(g, g->nodes[i]);
        break;
    }
    skv_free(g->ctx, placed);
    return status;
}

skive_status skv_graph_topo(const skive_graph *g, skive_node ***out) {
    skive_node **order = NULL;
    mark *marks = NULL;
    frame *stack = NULL;
    uint32_t count = 0;
    bool nested = false;
    skive_status status;
    *out = NULL;
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)g->n_nodes + 1, sizeof *order, &order));
    for (uint32_t i = 0; i < g->n_nodes; i++) nested = nested || skv_node_has_subgraph(g->nodes[i]);
    if (nested) {
        status = sweep_order(g, order);
        goto done;
    }
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)g->n_nodes + 1, sizeof *marks, &marks));
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)g->n_nodes + 1, sizeof *stack, &stack));
    for (uint32_t i = 0; i < g->n_nodes; i++) SKV_GO(status, done, visit(g, g->nodes[i], marks, stack, order, &count));
done:
    skv_free(g->ctx, marks);
    skv_free(g->ctx, stack);
    if (status != SKIVE_OK) {
        skv_free(g->ctx, order);
        return status;
    }
    *out = order;
    return SKIVE_OK;
}

static bool captured(const skive_graph *g, const skive_value *v);

static bool captured_in(const skive_graph *sub, const skive_value *v) {
    for (uint32_t i = 0; i < sub->n_values; i++) {
        if (sub->values[i]->outer == v) return true;
    }
    return captured(sub, v);
}

static bool captured(const skive_graph *g, const skive_value *v) {
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++) {
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++) {
            if (g->nodes[i]->attrs[a].graph && captured_in(g->nodes[i]->attrs[a].graph, v)) return true;
        }
    }
    return false;
}

bool skv_value_is_captured(const skive_value *v) { return captured(v->graph, v); }
bool skv_value_is_read(const skive_value *v) { return v->n_uses || v->output_uses || skv_value_is_captured(v); }

static bool node_dead(const skive_node *n) {
    if (n->removed) return false;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        if (n->outputs[o] && skv_value_is_read(n->outputs[o])) return false;
    }
    return true;
}

/* A body that no longer reads an outer value does not keep it. */
static size_t drop_captures(skive_graph *g) {
    size_t removed = 0;
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++) {
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++) {
            skive_graph *body = g->nodes[i]->attrs[a].graph;
            if (!body) continue;
            removed += drop_captures(body);
            skv_graph_hold(body);
            for (uint32_t k = body->n_values; k-- > 0;) {
                skive_value *v = body->values[k];
                if (v->outer && !skv_value_is_read(v) && skv_graph_remove_value(v) == SKIVE_OK) removed++;
            }
            skv_graph_settle(body);
        }
    }
    return removed;
}

size_t skv_graph_sweep(skive_graph *g) {
    size_t removed = drop_captures(g);
    skv_graph_hold(g);
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = g->n_nodes; i-- > 0;) {
            /* The nodes before it are followed at once: they may stand behind it in the array. */
            for (skive_node *n = g->nodes[i]; n && node_dead(n);) {
                skive_node *before = NULL;
                if (skv_graph_remove_node(n) != SKIVE_OK) break;
                removed++;
                for (uint32_t k = 0; k < n->n_inputs; k++) {
                    skive_node *p = n->inputs[k] ? n->inputs[k]->producer : NULL;
                    if (!p || p == before || !node_dead(p)) continue;
                    if (before)
                        again = again || p->id > i;
                    else
                        before = p;
                }
                n = before;
            }
        }
    }
    for (uint32_t i = g->n_values; i-- > 0;) {
        skive_value *v = g->values[i];
        if (!v->storage || skv_value_is_read(v)) continue;
        if (skv_graph_remove_value(v) == SKIVE_OK) removed++;
    }
    skv_graph_settle(g);
    return removed;
}
