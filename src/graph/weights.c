/* The weights of a graph, each with its matrix view. */
#include "graph/weights.h"

#include <string.h>

#include "graph/shared.h"
#include "tensor/tensor.h"

enum { DEEP = 6 };

const skv_input_spec *skv_input_spec_of(const skive_node *n, size_t i) {
    const skv_op *op = n->op;
    if (!op || op->n_inputs == 0 || i >= n->n_inputs || !n->inputs[i]) return NULL;
    if (i < op->n_inputs) return &op->inputs[i];
    return op->max_in < 0 ? &op->inputs[op->n_inputs - 1] : NULL;
}

/* A parameter, or computed from parameters alone by a few nodes. */
static bool from_parameters(const skive_value *v, int depth) {
    if (v->storage) return true;
    while (v->outer) v = v->outer;
    const skive_node *n = v->producer;
    if (v->storage || !n || depth == 0 || n->n_inputs == 0) return v->storage != NULL;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] && !from_parameters(n->inputs[i], depth - 1)) return false;
    return true;
}

skv_role skv_input_role(const skive_node *n, size_t i) {
    const skv_input_spec *s = skv_input_spec_of(n, i);
    if (!s) return SKV_ROLE_DATA;
    const skive_value *v = n->inputs[i];
    if (s->role == SKV_ROLE_TABLE && (v->type.rank < 2 || !skv_dtype_is_float(v->type.dtype))) return SKV_ROLE_DATA;
    if (!s->either) return s->role;
    if (!from_parameters(v, DEEP)) return SKV_ROLE_DATA;
    /* Of two parameters the second is the weight. */
    const bool last = i + 1 == n->n_inputs;
    const skive_value *next = last ? NULL : n->inputs[i + 1];
    return !last && next && from_parameters(next, DEEP) ? SKV_ROLE_DATA : s->role;
}

bool skv_value_is_state(const skive_value *v) {
    for (uint32_t i = 0; i < v->n_uses; i++)
        if (skv_input_role(v->uses[i].node, (size_t)v->uses[i].index) == SKV_ROLE_STATISTIC) return true;
    return false;
}

static int64_t size_at(const skive_type *t, int axis) {
    return axis >= 0 && t->dims[axis].size > 0 ? t->dims[axis].size : 1;
}

/* An axis of a value of the node, counted from the front; -1: there is none. */
static int axis_in(const skive_value *v, int axis, bool swapped) {
    if (!v || v->type.rank < 1) return -1;
    axis += axis < 0 ? v->type.rank : 0;
    if (swapped && v->type.rank == 2) axis = 1 - axis;
    return axis >= 0 && axis < v->type.rank ? axis : -1;
}

static void view_data(const skive_node *n, const skv_input_spec *s, skv_weight_view *out) {
    out->data = out->data_axis = out->result_axis = -1;
    if (s->role != SKV_ROLE_WEIGHT) return;
    const skive_value *y = n->n_outputs > 0 ? n->outputs[0] : NULL;
    out->result_axis = axis_in(y, s->result_axis, false);
    if (s->data < 0) return;
    const bool swapped = s->data_transpose && skv_attr_int(n, s->data_transpose, 0) != 0;
    out->data = s->data;
    out->windows = s->windows;
    out->data_axis = axis_in(skv_node_in(n, (size_t)s->data), s->data_axis, swapped);
}

bool skv_weight_view_of(const skive_node *n, size_t i, skv_weight_view *out) {
    const skv_input_spec *s = skv_input_spec_of(n, i);
    if (!s || !s->axes || n->inputs[i]->type.rank < 1) return false;
    const skive_type *t = &n->inputs[i]->type;
    const bool swapped = s->transpose && skv_attr_int(n, s->transpose, 0) != 0;
    int axes[2] = {swapped ? s->in_axis : s->out_axis, swapped ? s->out_axis : s->in_axis};
    const bool has_in = s->role >= SKV_ROLE_TABLE;
    for (int k = 0; k < 2; k++) {
        axes[k] += axes[k] < 0 ? t->rank : 0;
        if (axes[k] < 0 || axes[k] >= t->rank) axes[k] = -1;
    }
    if (!has_in || axes[1] == axes[0]) axes[1] = -1;
    if (s->role == SKV_ROLE_TABLE) axes[1] = (int)skv_axis(skv_attr_int(n, "axis", 0), t->rank);
    *out = (skv_weight_view){.out_axis = axes[0],
                             .in_axis = axes[1],
                             .out = size_at(t, axes[0]),
                             .in = size_at(t, axes[1]),
                             .taps = 1,
                             .groups = s->role == SKV_ROLE_WEIGHT ? skv_attr_int(n, "group", 1) : 1,
                             .blocks = s->blocks ? s->blocks : 1,
                             .directions = s->blocks ? size_at(t, 0) : 1};
    for (int d = s->blocks ? 1 : 0; d < t->rank; d++)
        if (d != axes[0] && d != axes[1]) out->taps *= size_at(t, d);
    view_data(n, s, out);
    return true;
}

/* What the only reader of the result adds, where that is a parameter of one number an output channel. */
static skive_value *added_bias(const skive_node *n, const skv_weight_view *view) {
    const skive_value *y = n->n_outputs > 0 ? n->outputs[0] : NULL;
    if (!y || view->result_axis < 0 || y->n_uses != 1 || y->output_uses) return NULL;
    const skive_node *add = y->uses[0].node;
    if (!skv_node_is(add, SKV_OP_ADD)) return NULL;
    skive_value *b = add->inputs[1 - y->uses[0].index];
    const int axis = b->type.rank - (y->type.rank - view->result_axis);
    if (b == y || !from_parameters(b, DEEP) || axis < 0 || b->type.rank > y->type.rank) return NULL;
    const int64_t channels = size_at(&y->type, view->result_axis);
    return size_at(&b->type, axis) == channels && skv_type_count(&b->type) == channels ? b : NULL;
}

static skive_value *bias_of(const skive_node *n, const skv_weight_view *view) {
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skv_input_spec *s = skv_input_spec_of(n, i);
        if (s && s->role == SKV_ROLE_BIAS && !s->either) return n->inputs[i];
    }
    return added_bias(n, view);
}

static bool is_listed(const skive_node *n, size_t i) {
    if (skv_input_role(n, i) < SKV_ROLE_TABLE) return false;
    const skive_value *v = skv_value_source(n->inputs[i]);
    /* A table that is computed, and the codebook of a shared weight, are none. */
    return skv_input_role(n, i) == SKV_ROLE_WEIGHT || v->storage || skv_shared_find(v, NULL);
}

typedef struct listing {
    const skive_graph *g;
    bool *seen; /* by id, of values of g */
    skv_weight *items;
    size_t n;
} listing;

static bool is_seen(listing *l, const skive_value *v) {
    if (v->graph == l->g) {
        const bool seen = l->seen[v->id];
        l->seen[v->id] = true;
        return seen;
    }
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].value == v) return true;
    return false;
}

static void add_weight(listing *l, skive_node *node, uint32_t i) {
    const skv_input_spec *s = skv_input_spec_of(node, i);
    skv_weight *w = &l->items[l->n++];
    *w = (skv_weight){.value = skv_value_source(node->inputs[i]),
                      .node = node,
                      .input = (int)i,
                      .role = s->role,
                      .view = {.out_axis = -1,
                               .in_axis = -1,
                               .out = 1,
                               .in = 1,
                               .taps = skv_type_count(&node->inputs[i]->type),
                               .groups = 1,
                               .blocks = 1,
                               .directions = 1,
                               .data = -1,
                               .data_axis = -1,
                               .result_axis = -1},
                      .channels = s->channels ? s->channels : "channels"};
    (void)skv_weight_view_of(node, i, &w->view);
    w->bias = bias_of(node, &w->view);
}

static void list_weights(listing *l, const skive_graph *g) {
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        skive_node *n = g->nodes[k];
        for (uint32_t i = 0; i < n->n_inputs; i++)
            if (n->inputs[i] && is_listed(n, i) && !is_seen(l, skv_value_source(n->inputs[i]))) add_weight(l, n, i);
        for (uint32_t a = 0; g->nests && a < n->n_attrs; a++)
            if (n->attrs[a].graph) list_weights(l, n->attrs[a].graph);
    }
}

static size_t count_inputs(const skive_graph *g) {
    size_t n = 0;
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        n += g->nodes[k]->n_inputs;
        for (uint32_t a = 0; g->nests && a < g->nodes[k]->n_attrs; a++)
            if (g->nodes[k]->attrs[a].graph) n += count_inputs(g->nodes[k]->attrs[a].graph);
    }
    return n;
}

skive_status skv_weights(skive_context *ctx, const skive_graph *g, skv_weight **out, size_t *n) {
    listing l = {.g = g};
    skive_status status;
    *out = NULL;
    *n = 0;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, 1, &l.seen));
    SKV_GO(status, done, skv_alloc_array(ctx, count_inputs(g) + 1, sizeof *l.items, &l.items));
    list_weights(&l, g);
    *out = l.items;
    *n = l.n;
done:
    skv_free(ctx, l.seen);
    return status;
}

/* ---- bodies ---- */

/* The node of the graph around `g`, and its attribute, that has `g` as its body. */
static const skive_node *owner_of(const skive_graph *g, const char **attribute) {
    for (uint32_t k = 0; g->parent && k < g->parent->n_nodes; k++) {
        const skive_node *n = g->parent->nodes[k];
        for (uint32_t a = 0; a < n->n_attrs; a++) {
            if (n->attrs[a].graph != g) continue;
            *attribute = n->attrs[a].name;
            return n;
        }
    }
    return NULL;
}

static void add_path(skv_text *t, const skive_node *n) {
    const char *attribute = NULL;
    const skive_node *owner = owner_of(n->graph, &attribute);
    if (owner) {
        add_path(t, owner);
        skv_text_add(t, "/%s/", attribute);
    }
    skv_text_add(t, "%s", n->name);
}

skive_status skv_node_path(skive_context *ctx, const skive_node *n, char **out) {
    skv_text t;
    skv_text_init(&t, ctx);
    add_path(&t, n);
    *out = t.data;
    return t.status;
}

skive_value *skv_find_value_anywhere(const skive_graph *g, const char *name) {
    skive_value *v = skive_graph_find_value(g, name);
    for (uint32_t k = 0; !v && g->nests && k < g->n_nodes; k++)
        for (uint32_t a = 0; !v && a < g->nodes[k]->n_attrs; a++)
            if (g->nodes[k]->attrs[a].graph) v = skv_find_value_anywhere(g->nodes[k]->attrs[a].graph, name);
    return skv_value_source(v);
}
