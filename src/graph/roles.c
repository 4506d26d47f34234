/* Roles of parameters, followed through the graph. */
#include <math.h>
#include <string.h>

#include "graph/weights.h"
#include "tensor/tensor.h"

/* An added number of this size closes a path (an attention mask's -1e9); no bias has it. */
#define MASK_SIZE 1e4

enum { FAR = 16, NEAR = 5 }; /* how many nodes up a product, the mean of a normalisation is looked for */

const char *skv_role_name(skv_role role) {
    static const char *const names[SKV_ROLES] = {"data",  "constant", "statistic", "shift",
                                                 "scale", "bias",     "table",     "weight"};
    return names[role];
}

/* ---- by structure ---- */

typedef struct walk {
    const skive_graph *g;
    const struct walk *parent; /* of a subgraph */
    skv_role *role;            /* [n_values] */
    bool *data;                /* [n_values] depends on an input of the model */
} walk;

static bool is_data(const walk *w, const skive_value *v) {
    if (v->outer) return !w->parent || is_data(w->parent, v->outer);
    return w->data[v->id];
}

/* The only size that is not 1; 0 when there are several or an unknown one. */
static int64_t vector_size(const skive_type *t) {
    int64_t size = 1;
    if (t->rank < 1) return 0;
    for (int d = 0; d < t->rank; d++) {
        if (t->dims[d].size == 1) continue;
        if (t->dims[d].size < 1 || size != 1) return 0;
        size = t->dims[d].size;
    }
    return size;
}

/* The value behind nodes that only move or retype it. */
static const skive_value *behind(const skive_value *v) {
    while (v->producer && v->producer->n_inputs > 0 && v->producer->inputs[0] &&
           (skv_node_reshapes(v->producer) ||
            SKV_NODE_IS_ANY(v->producer, SKV_OP_TRANSPOSE, SKV_OP_CAST, SKV_OP_DROPOUT, SKV_OP_QUANTIZE_LINEAR,
                            SKV_OP_DEQUANTIZE_LINEAR, SKV_OP_FAKE_QUANTIZE)))
        v = v->producer->inputs[0];
    return v;
}

/* Output channels of a product with a weight; 0: the node is none. -1: their number is not known. */
static int64_t product_channels(const walk *w, const skive_node *n) {
    for (size_t i = 0; n && i < n->n_inputs; i++) {
        const skv_input_spec *s = skv_input_spec_of(n, i);
        const skive_value *v = n->inputs[i];
        skv_weight_view view;
        if (!s || s->role != SKV_ROLE_WEIGHT || !v || (s->either && is_data(w, v))) continue;
        if (!skv_weight_view_of(n, i, &view)) return -1;
        if (view.out_axis < 0 || v->type.dims[view.out_axis].size < 1) return -1;
        /* Axis 0 of a convolution's filters counts those of all groups, axis 1 of a transposed one those of one. */
        return view.out_axis == 1 ? view.out * view.groups : view.out;
    }
    return 0;
}

static bool has_bias(const skive_node *n) {
    for (size_t i = 0; i < n->n_inputs; i++) {
        const skv_input_spec *s = skv_input_spec_of(n, i);
        if (s && s->role == SKV_ROLE_BIAS && !s->either && n->inputs[i]) return true;
    }
    return false;
}

static bool from_mean(const skive_value *v, int depth) {
    const skive_node *n = v->producer;
    if (!n || depth == 0) return false;
    if (skv_node_is(n, SKV_OP_REDUCE_MEAN)) return true;
    if (!SKV_NODE_IS_ANY(n, SKV_OP_SQRT, SKV_OP_ADD, SKV_OP_POW, SKV_OP_RECIPROCAL, SKV_OP_SUB, SKV_OP_DIV, SKV_OP_MUL,
                         SKV_OP_MAX, SKV_OP_CAST))
        return false;
    for (size_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] && from_mean(n->inputs[i], depth - 1)) return true;
    return false;
}

/* The result of a normalisation: an op of that kind, or (x - mean) / deviation written out. */
static bool is_normalised(const skive_value *v) {
    const skive_node *n = v->producer;
    if (!n) return false;
    for (size_t i = 0; i < n->n_inputs; i++) {
        const skv_input_spec *s = skv_input_spec_of(n, i);
        if (s && s->role == SKV_ROLE_SCALE && !s->either && !skv_node_is(n, SKV_OP_PRELU)) return true;
    }
    if (SKV_NODE_IS_ANY(n, SKV_OP_DIV, SKV_OP_MUL)) return from_mean(v, NEAR);
    return SKV_NODE_IS_ANY(n, SKV_OP_LP_NORMALIZATION, SKV_OP_MEAN_VARIANCE_NORMALIZATION);
}

/* Does `v` come, by element-wise nodes alone, from a product with so many output channels? */
static bool from_product(const walk *w, const skive_value *v, int64_t channels, int depth) {
    const skive_node *n = behind(v)->producer;
    if (!n || depth == 0) return false;
    const int64_t have = product_channels(w, n);
    if (have != 0) return have == channels;
    if (!n->op || n->n_outputs < 1) return false;
    for (size_t i = 0; n->op->pointwise && i < n->n_inputs; i++) {
        const skive_value *x = n->inputs[i];
        if (x && is_data(w, x) && from_product(w, x, channels, depth - 1)) return true;
    }
    return false;
}

static bool any_value(const skive_value *v, bool (*is)(double)) {
    const skive_tensor *t = skv_value_tensor(v);
    for (int64_t i = 0; t && i < skive_tensor_count(t); i++)
        if (is(skive_tensor_get(t, i))) return true;
    return false;
}
static bool is_masking(double x) { return !(fabs(x) < MASK_SIZE); }
static bool is_fraction(double x) { return x != 0 && x != 1; }
static bool is_zero(double x) { return x == 0; }

static skv_role scale_role(const walk *w, const skive_value *p, const skive_value *data) {
    const int64_t size = vector_size(&p->type);
    if (size < 2) return SKV_ROLE_CONSTANT;
    if (any_value(p, is_zero) && !any_value(p, is_fraction)) return SKV_ROLE_CONSTANT; /* a mask */
    return is_normalised(behind(data)) || from_product(w, data, size, FAR) ? SKV_ROLE_SCALE : SKV_ROLE_CONSTANT;
}

static bool is_scaled(const walk *w, const skive_node *n) {
    for (size_t i = 0; skv_node_is(n, SKV_OP_MUL) && i < 2 && n->n_inputs == 2; i++) {
        const skive_value *p = n->inputs[i], *x = n->inputs[1 - i];
        if (p && x && !is_data(w, p) && is_data(w, x) && scale_role(w, p, x) == SKV_ROLE_SCALE) return true;
    }
    return false;
}

static skv_role bias_role(const walk *w, const skive_value *p, const skive_value *data) {
    const int64_t size = vector_size(&p->type);
    const skive_value *from = behind(data);
    const skive_node *n = from->producer;
    if (size < 1 || !n || any_value(p, is_masking)) return SKV_ROLE_CONSTANT;
    const int64_t channels = product_channels(w, n);
    if (channels != 0) return !has_bias(n) && (channels == size || channels < 0) ? SKV_ROLE_BIAS : SKV_ROLE_CONSTANT;
    return size > 1 && (is_normalised(from) || is_scaled(w, n)) ? SKV_ROLE_SHIFT : SKV_ROLE_CONSTANT;
}

/* The role of input `i`, unless the node's result depends on no data: then it is that of the result. */
static skv_role role_at(const walk *w, const skive_node *n, size_t i) {
    const skv_input_spec *s = skv_input_spec_of(n, i);
    const skive_value *v = n->inputs[i];
    if (!s) return is_data(w, v) ? SKV_ROLE_DATA : SKV_ROLE_CONSTANT;
    if (!s->either) return s->role;
    if (is_data(w, v)) return SKV_ROLE_DATA;
    if (s->role == SKV_ROLE_WEIGHT) return s->role;
    const skive_value *other = n->n_inputs == 2 ? n->inputs[1 - i] : NULL;
    if (!other || !is_data(w, other)) return SKV_ROLE_CONSTANT;
    return s->role == SKV_ROLE_SCALE ? scale_role(w, v, other) : bias_role(w, v, other);
}

/* ---- the walk ---- */

typedef struct reading {
    const walk *w;
    bool any;
} reading;

static void see_data(void *user, skive_value *v) {
    reading *r = user;
    r->any = r->any || is_data(r->w, v);
}

static void find_data(walk *w, skive_node *const *order) {
    const skive_graph *g = w->g;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        w->data[i] = !v->storage && !v->producer;
    }
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        reading r = {.w = w, .any = order[k]->op && order[k]->op->random};
        skv_node_reads(order[k], see_data, &r);
        for (uint32_t o = 0; o < order[k]->n_outputs; o++)
            if (order[k]->outputs[o]) w->data[order[k]->outputs[o]->id] = r.any;
    }
}

static void raise_role(skv_role *role, skv_role to) {
    if (to > *role) *role = to;
}

typedef void (*see_fn)(void *user, skive_value *v, skv_role role);
static skive_status walk_graph(skive_context *ctx, const skive_graph *g, walk *parent, see_fn see, void *user,
                               skv_role **out);

static skive_status walk_bodies(skive_context *ctx, const skive_node *n, walk *w, see_fn see, void *user) {
    for (uint32_t k = 0; w->g->nests && k < n->n_attrs; k++)
        if (n->attrs[k].type == SKV_ATTR_GRAPH) SKV_TRY(walk_graph(ctx, n->attrs[k].graph, w, see, user, NULL));
    return SKIVE_OK;
}

static void find_roles(walk *w, const skive_node *n) {
    bool data = false;
    skv_role result = SKV_ROLE_DATA;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        if (!n->outputs[o]) continue;
        data = data || w->data[n->outputs[o]->id];
        raise_role(&result, w->role[n->outputs[o]->id]);
    }
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        skive_value *v = n->inputs[i];
        if (!v) continue;
        skv_role role = role_at(w, n, i);
        /* A parameter of a formula over parameters; a lone number there scales or shifts it. */
        const skv_input_spec *s = skv_input_spec_of(n, i);
        const bool fixed = s && s->role == SKV_ROLE_CONSTANT && !s->either; /* the scale of a quantized weight */
        if (!data && !fixed && role <= SKV_ROLE_CONSTANT && skv_type_count(&v->type) > 1) raise_role(&role, result);
        raise_role(&w->role[v->id], role);
    }
}

static skive_status walk_graph(skive_context *ctx, const skive_graph *g, walk *parent, see_fn see, void *user,
                               skv_role **out) {
    walk w = {.g = g, .parent = parent};
    skive_node **order = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *w.role, &w.role));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *w.data, &w.data));
    SKV_GO(status, done, skv_graph_topo(g, &order));
    find_data(&w, order);
    for (uint32_t k = g->n_nodes; k-- > 0;) {
        SKV_GO(status, done, walk_bodies(ctx, order[k], &w, see, user));
        find_roles(&w, order[k]);
    }
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        if (v->outer && parent) raise_role(&parent->role[v->outer->id], w.role[i]);
        if (see) see(user, v, w.role[i]);
    }
    if (out) {
        *out = w.role;
        w.role = NULL;
    }
done:
    skv_free(ctx, order);
    skv_free(ctx, w.data);
    skv_free(ctx, w.role);
    return status;
}

skive_status skv_graph_roles(skive_context *ctx, const skive_graph *g, skv_role **out) {
    *out = NULL;
    return walk_graph(ctx, g, NULL, NULL, NULL, out);
}

bool skv_value_is_learned(const skive_value *v, skv_role role) {
    for (uint32_t i = 0; i < v->n_uses; i++)
        if (v->uses[i].node->op && v->uses[i].node->op->grad) return skv_role_is_learned(role);
    return false;
}

static void mark(void *user, skive_value *v, skv_role role) {
    (void)user;
    if (!v->storage || !skv_dtype_is_float(v->storage->tensor.dtype)) return;
    v->trainable = skv_value_is_learned(v, role);
}

skive_status skv_mark_trainable(skive_graph *g) { return walk_graph(g->ctx, g, NULL, mark, NULL, NULL); }
