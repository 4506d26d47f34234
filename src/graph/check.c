/* Is the graph well formed? The first fault is named. */
#include <string.h>

#include "graph/internal.h"
#include "graph/op.h"

#define FAULT(g, subject, ...) skv_fail_at((g)->ctx, SKIVE_ERR_GRAPH, (subject), __VA_ARGS__)

static skive_status check_names(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (skv_names_find(g->name_index, v->name) != v) return FAULT(g, v->name, "two values are named '%s'", v->name);
    }
    return SKIVE_OK;
}

static skive_status check_sources(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        const int sources = (v->producer != NULL) + (v->storage != NULL) + v->is_input + (v->outer != NULL);
        if (sources > 1) return FAULT(g, v->name, "value '%s' is defined more than once", v->name);
        if (sources == 0 && skv_value_is_read(v)) {
            return FAULT(g, v->name, "value '%s' is used but nothing defines it", v->name);
        }
    }
    return SKIVE_OK;
}

static skive_status check_attrs(const skive_graph *g, const skive_node *n) {
    for (size_t s = 0; s < n->op->n_attrs; s++) {
        const skv_attr_spec *spec = &n->op->attrs[s];
        const skv_attr *a = skv_node_attr(n, spec->name);
        if (!a && spec->need == SKV_REQUIRED) {
            return FAULT(g, n->name, "node '%s': %s needs the attribute '%s'", n->name, n->op_type, spec->name);
        }
        if (a && a->type != spec->type) {
            return FAULT(g, n->name, "node '%s': attribute '%s' of %s has the wrong type", n->name, spec->name,
                         n->op_type);
        }
    }
    return SKIVE_OK;
}

static bool out_of_bounds(uint32_t n, int least, int most) {
    return (int64_t)n < least || (most >= 0 && (int64_t)n > most);
}

static skive_status check_node(const skive_graph *g, const skive_node *n) {
    for (uint32_t a = 0; a < n->n_attrs; a++) {
        if (n->attrs[a].graph) SKV_TRY(skive_graph_check(n->attrs[a].graph));
    }
    if (!n->op) return SKIVE_OK;
    if (out_of_bounds(n->n_inputs, n->op->min_in, n->op->max_in)) {
        return FAULT(g, n->name, "node '%s': %s takes %d to %d inputs, not %u", n->name, n->op_type, n->op->min_in,
                     n->op->max_in, n->n_inputs);
    }
    if (out_of_bounds(n->n_outputs, n->op->min_out, n->op->max_out)) {
        return FAULT(g, n->name, "node '%s': %s gives %d to %d outputs, not %u", n->name, n->op_type, n->op->min_out,
                     n->op->max_out, n->n_outputs);
    }
    for (int i = 0; i < n->op->min_in; i++) {
        if (!n->inputs[i]) return FAULT(g, n->name, "node '%s': input %d of %s is missing", n->name, i, n->op_type);
    }
    return check_attrs(g, n);
}

skive_status skive_graph_check(const skive_graph *g) {
    SKV_NEED(g ? g->ctx : NULL, "graph", g);
    skive_node **order = NULL;
    SKV_TRY(check_names(g));
    SKV_TRY(check_sources(g));
    for (uint32_t i = 0; i < g->n_nodes; i++) SKV_TRY(check_node(g, g->nodes[i]));
    SKV_TRY(skv_graph_topo(g, &order));
    skv_free(g->ctx, order);
    return SKIVE_OK;
}

/* ---- ops skive cannot run ---- */

typedef struct missing {
    const char *op, *domain;
    const char *attribute; /* which makes a known operator an unknown one; "": the operator itself is unknown */
    size_t count;
} missing;

typedef struct missing_list {
    skive_context *ctx;
    missing *items;
    size_t n, capacity;
} missing_list;

static skive_status add_missing(missing_list *m, const skive_node *n) {
    const skv_op *op = skv_op_find(n->op_type, n->domain);
    const char *attribute = op ? skv_op_unknown_attr(op, n) : NULL;
    if (!attribute) attribute = "";
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->items[i].op, n->op_type) != 0 || strcmp(m->items[i].domain, n->domain) != 0 ||
            strcmp(m->items[i].attribute, attribute) != 0)
            continue;
        m->items[i].count++;
        return SKIVE_OK;
    }
    if (m->n == m->capacity) {
        const size_t capacity = m->capacity ? m->capacity * 2 : 8;
        SKV_TRY(skv_grow(m->ctx, &m->items, m->capacity, capacity, sizeof *m->items));
        m->capacity = capacity;
    }
    m->items[m->n++] = (missing){n->op_type, n->domain, attribute, 1};
    return SKIVE_OK;
}

static skive_status collect_missing(missing_list *m, const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (!n->op || (!n->op->run && !n->op->flow)) SKV_TRY(add_missing(m, n));
        for (uint32_t a = 0; a < n->n_attrs; a++) {
            if (n->attrs[a].graph) SKV_TRY(collect_missing(m, n->attrs[a].graph));
        }
    }
    return SKIVE_OK;
}

skive_status skive_graph_unsupported(const skive_graph *g, char **out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, out", g, out);
    missing_list m = {.ctx = g->ctx};
    skv_text text;
    *out = NULL;
    skv_text_init(&text, g->ctx);
    skive_status status = collect_missing(&m, g);
    skv_text_add(&text, "%s", "");
    for (size_t i = 0; i < m.n; i++) {
        const missing *x = &m.items[i];
        skv_text_add(&text, "%s%s%s%s%s%s%s x%zu", i ? ", " : "", x->op, x->domain[0] ? " (" : "", x->domain,
                     x->domain[0] ? ")" : "", x->attribute[0] ? " with the attribute " : "", x->attribute, x->count);
    }
    skv_free(g->ctx, m.items);
    if (status == SKIVE_OK) status = text.status;
    if (status == SKIVE_OK) {
        *out = text.data;
        text.data = NULL;
    }
    skv_text_free(&text);
    return status;
}
