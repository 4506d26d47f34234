/* Duplicate computations are merged: nodes of the same op, attributes and inputs become one, and so do equal constants.
 * Trainable parameters and running statistics are not merged, since training would make them differ; in a training
 * plan, no parameters are. */
#include <math.h>
#include <string.h>

#include "graph/weights.h"
#include "passes/pass.h"
#include "tensor/strings.h"

/* The sign of zero matters. */
static bool same_float(double a, double b) { return a == b && signbit(a) == signbit(b); }

static bool same_floats(const skv_attr *a, const skv_attr *b) {
    for (size_t i = 0; i < a->n; i++) {
        if (!same_float(a->floats[i], b->floats[i])) return false;
    }
    return true;
}

static bool same_attr(const skv_attr *a, const skv_attr *b) {
    if (a->type != b->type || strcmp(a->name, b->name) != 0 || a->n != b->n) return false;
    switch (a->type) {
    case SKV_ATTR_INT: return a->i == b->i;
    case SKV_ATTR_FLOAT: return same_float(a->f, b->f);
    case SKV_ATTR_STRING: return memcmp(a->s, b->s, a->n) == 0;
    case SKV_ATTR_INTS: return a->n == 0 || memcmp(a->ints, b->ints, a->n * sizeof *a->ints) == 0;
    case SKV_ATTR_FLOATS: return same_floats(a, b);
    case SKV_ATTR_TENSOR: return a->tensor == b->tensor;
    case SKV_ATTR_STRINGS:
    case SKV_ATTR_GRAPH: break;
    }
    return false;
}

static bool same_node(const skive_node *a, const skive_node *b) {
    if (a->op != b->op || a->n_inputs != b->n_inputs || a->n_outputs != b->n_outputs || a->n_attrs != b->n_attrs)
        return false;
    if (memcmp(a->inputs, b->inputs, a->n_inputs * sizeof(skive_value *)) != 0) return false;
    for (uint32_t o = 0; o < a->n_outputs; o++) {
        if (!a->outputs[o] != !b->outputs[o]) return false;
    }
    for (uint32_t i = 0; i < a->n_attrs; i++) {
        const skv_attr *other = skv_node_attr(b, a->attrs[i].name);
        if (!other || !same_attr(&a->attrs[i], other)) return false;
    }
    return true;
}

static uint64_t node_hash(const skive_node *n) {
    uint64_t h = skv_hash64(n->op_type, strlen(n->op_type), n->n_attrs);
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const uint32_t id = n->inputs[i] ? n->inputs[i]->id : UINT32_MAX;
        h = skv_hash64(&id, sizeof id, h);
    }
    return h;
}

static bool same_constant(const skive_value *a, const skive_value *b) {
    const skive_tensor *x = skv_value_tensor(a), *y = skv_value_tensor(b);
    return skv_tensor_same(x, y);
}

/* Open addressing over pointers; the size is a power of two of at least twice the number of entries. */
typedef struct table {
    void **slots;
    size_t mask;
} table;

static skive_status table_make(skive_context *ctx, size_t n, table *out) {
    size_t size = 16;
    while (size < 2 * n) size *= 2;
    out->mask = size - 1;
    return skv_alloc_array(ctx, size, sizeof *out->slots, &out->slots);
}

static skive_status merge_constants(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    table t = {0};
    if (env->training) return SKIVE_OK;
    SKV_TRY(table_make(env->ctx, g->n_values, &t));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < g->n_values && status == SKIVE_OK; i++) {
        skive_value *v = g->values[i];
        if (!skv_value_is_param(v) || v->trainable || v->n_uses == 0 || v->is_input || skv_pass_keeps(env, v) ||
            skv_value_is_state(v))
            continue;
        const skive_tensor *x = skv_value_tensor(v);
        if (!x->data) continue;
        size_t at = (size_t)skv_tensor_hash(x, (uint64_t)x->dtype) & t.mask;
        while (t.slots[at] && !same_constant(t.slots[at], v)) at = (at + 1) & t.mask;
        if (t.slots[at]) {
            status = skv_value_replace_uses(v, t.slots[at], false); /* the sweep takes v */
            ++*changes;
        } else {
            t.slots[at] = v;
        }
    }
    skv_free(env->ctx, t.slots);
    return status;
}

static bool mergeable(const skv_pass_env *env, const skive_node *n) {
    if (!n->op || n->op->random || n->n_outputs == 0) return false;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        if (n->outputs[o] && skv_pass_keeps(env, n->outputs[o])) return false;
    }
    return true;
}

static skive_status merge_nodes(const skv_pass_env *env, skive_node *const *order, uint32_t n, size_t *changes) {
    table t = {0};
    SKV_TRY(table_make(env->ctx, n, &t));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < n && status == SKIVE_OK; i++) {
        skive_node *node = order[i];
        if (!mergeable(env, node)) continue;
        size_t at = (size_t)node_hash(node) & t.mask;
        while (t.slots[at] && !same_node(t.slots[at], node)) at = (at + 1) & t.mask;
        if (!t.slots[at]) {
            t.slots[at] = node;
            continue;
        }
        const skive_node *first = t.slots[at];
        for (uint32_t o = 0; o < node->n_outputs && status == SKIVE_OK; o++) {
            if (node->outputs[o]) status = skv_value_replace_uses(node->outputs[o], first->outputs[o], false);
        }
        ++*changes;
    }
    skv_free(env->ctx, t.slots);
    return status;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    skive_node **order = NULL;
    SKV_TRY(merge_constants(env, g, changes));
    SKV_TRY(skv_graph_topo(g, &order));
    const skive_status status = merge_nodes(env, order, g->n_nodes, changes);
    skv_free(env->ctx, order);
    (void)skv_graph_sweep(g); /* otherwise the same nodes would be merged again */
    return status;
}

const skv_pass skv_pass_merge_duplicates = {
    .name = "merge-duplicates",
    .brief = "merges equal nodes and equal constants",
    .when = SKV_PASS_CLEAN,
    .run = run,
};
