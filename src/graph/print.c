/* A graph as text a person can read. */
#include <inttypes.h>

#include "graph/internal.h"

static void add_type(skv_text *t, const skive_value *v) {
    char type[192];
    skv_type_text(&v->type, type, sizeof type);
    skv_text_add(t, "%s:%s", v->name, type);
}

static void add_ints(skv_text *t, const skv_attr *a) {
    skv_text_add(t, "[");
    for (size_t i = 0; i < a->n; i++) {
        if (a->ints) skv_text_add(t, "%s%" PRId64, i ? "," : "", a->ints[i]);
        if (a->floats) skv_text_add(t, "%s%g", i ? "," : "", a->floats[i]);
        if (a->strings) skv_text_add(t, "%s\"%s\"", i ? "," : "", a->strings[i]);
    }
    skv_text_add(t, "]");
}

static void add_attr(skv_text *t, const skv_attr *a) {
    skv_text_add(t, "%s=", a->name);
    switch (a->type) {
    case SKV_ATTR_INT: skv_text_add(t, "%" PRId64, a->i); break;
    case SKV_ATTR_FLOAT: skv_text_add(t, "%g", a->f); break;
    case SKV_ATTR_STRING: skv_text_add(t, "\"%s\"", a->s); break;
    case SKV_ATTR_TENSOR: skv_text_add(t, "<tensor>"); break;
    case SKV_ATTR_GRAPH: skv_text_add(t, "<graph of %u nodes>", a->graph ? a->graph->n_nodes : 0); break;
    case SKV_ATTR_INTS:
    case SKV_ATTR_FLOATS:
    case SKV_ATTR_STRINGS: add_ints(t, a); break;
    }
}

static skive_status add_graph(skv_text *t, const skive_graph *g, int depth);

static void indent(skv_text *t, int depth) { skv_text_add(t, "%*s", 2 * depth, ""); }

static skive_status add_node(skv_text *t, const skive_node *n, int depth) {
    indent(t, depth);
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        if (i) skv_text_add(t, ", ");
        if (n->outputs[i])
            add_type(t, n->outputs[i]);
        else
            skv_text_add(t, "-");
    }
    skv_text_add(t, " = %s%s%s(", n->domain, n->domain[0] ? "." : "", n->op_type);
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        skv_text_add(t, "%s%s", i ? ", " : "", n->inputs[i] ? n->inputs[i]->name : "-");
    }
    skv_text_add(t, ")");
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        skv_text_add(t, i ? ", " : " {");
        add_attr(t, &n->attrs[i]);
    }
    skv_text_add(t, "%s  # %s\n", n->n_attrs ? "}" : "", n->name);
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (!n->attrs[i].graph) continue;
        indent(t, depth + 1);
        skv_text_add(t, "%s: ", n->attrs[i].name);
        SKV_TRY(add_graph(t, n->attrs[i].graph, depth + 1));
    }
    return SKIVE_OK;
}

/* Reading bounds how deep subgraphs nest. */
static skive_status add_graph(skv_text *t, const skive_graph *g, int depth) {
    skive_node **order = NULL;
    skive_status status = skv_graph_topo(g, &order);
    skv_text_add(t, "graph %s (", g->name);
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        if (i) skv_text_add(t, ", ");
        add_type(t, g->inputs[i]);
    }
    skv_text_add(t, ")\n");
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (!g->values[i]->storage) continue;
        indent(t, depth + 1);
        skv_text_add(t, "parameter ");
        add_type(t, g->values[i]);
        skv_text_add(t, "%s\n", g->values[i]->trainable ? " trainable" : "");
    }
    for (uint32_t i = 0; status == SKIVE_OK && i < g->n_nodes; i++) status = add_node(t, order[i], depth + 1);
    indent(t, depth + 1);
    skv_text_add(t, "return ");
    for (uint32_t i = 0; i < g->n_outputs; i++) skv_text_add(t, "%s%s", i ? ", " : "", g->outputs[i]->name);
    skv_text_add(t, "\n");
    skv_free(g->ctx, order);
    return status;
}

skive_status skive_graph_print(const skive_graph *g, char **out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, out", g, out);
    skv_text t;
    *out = NULL;
    skv_text_init(&t, g->ctx);
    skive_status status = add_graph(&t, g, 0);
    if (status == SKIVE_OK) status = t.status;
    if (status == SKIVE_OK) {
        *out = t.data;
        t.data = NULL;
    }
    skv_text_free(&t);
    return status;
}
