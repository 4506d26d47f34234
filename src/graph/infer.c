/* Types of all values from the inputs and parameters. Small integer tensors that are known (shapes, axes) are carried
 * along, so that a Reshape after shape arithmetic has a known result. Nothing is written until all went well. */
#include <string.h>

#include "graph/internal.h"
#include "graph/op.h"

enum { MAX_KNOWN = 64 }; /* elements of a tensor carried along */

const skive_tensor *skv_inference_known(const skv_inference *x, const skive_value *v) {
    if (!v) return NULL;
    if (v->storage) return skv_value_tensor(v);
    return x->known[v->id].data ? &x->known[v->id] : NULL;
}

static bool small_integers(const skive_type *t) {
    return (t->dtype == SKIVE_I64 || t->dtype == SKIVE_I32 || t->dtype == SKIVE_BOOL) && skv_type_is_static(t) &&
           skv_type_count(t) >= 0 && skv_type_count(t) <= MAX_KNOWN;
}

/* A tensor header with the shape but no data, for Shape. */
static skive_tensor header(const skive_type *t) {
    skive_tensor h = {.dtype = t->dtype, .rank = t->rank};
    for (int d = 0; d < t->rank; d++) h.dims[d] = t->dims[d].size;
    return h;
}

/* The value of a node of one small integer output whose inputs are all known. */
static skive_status carry(skv_inference *x, const skive_node *n) {
    skive_tensor in[8], out = {0};
    const skive_tensor *inputs[8];
    if (n->n_outputs != 1 || !n->outputs[0] || n->n_inputs > 8 || !n->op || !n->op->run || n->op->random)
        return SKIVE_OK;
    if (!small_integers(&x->types[n->outputs[0]->id])) return SKIVE_OK;
    const bool shape = skv_node_is(n, SKV_OP_SHAPE) && n->n_inputs > 0 && n->inputs[0];
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        inputs[i] = skv_inference_known(x, n->inputs[i]);
        if (shape && i == 0) {
            const skive_type *t = &x->types[n->inputs[0]->id];
            if (!skv_type_is_static(t)) return SKIVE_OK;
            in[0] = header(t);
            inputs[0] = &in[0];
        }
        if (n->inputs[i] && (!inputs[i] || skive_tensor_count(inputs[i]) > 4096)) {
            if (!(shape && i == 0)) return SKIVE_OK;
        }
    }
    SKV_TRY(skv_op_evaluate(x->ctx, n, inputs, n->n_inputs, &out, 1));
    x->known[n->outputs[0]->id] = out;
    return SKIVE_OK;
}

void skv_type_fill(skive_type *t, const skive_type *declared) {
    if (t->dtype == SKIVE_DTYPE_NONE) t->dtype = declared->dtype;
    if (t->rank < 0) {
        const skive_dtype dtype = t->dtype;
        *t = *declared;
        t->dtype = dtype;
        return;
    }
    if (declared->rank != t->rank) return;
    for (int d = 0; d < t->rank; d++) {
        if (t->dims[d].size >= 0 || t->dims[d].symbol) continue;
        t->dims[d] = declared->dims[d];
    }
}

/* Whatever is computed from a shape that passed here, counts and strides alike, stays within 64 bits. */
static skive_status check_size(skive_context *ctx, const char *name, const skive_type *t) {
    char text[128];
    if (t->rank < 0 || skv_type_count(t) >= 0) return SKIVE_OK;
    skv_type_text(t, text, sizeof text);
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, name, "a tensor of %s exceeds the address space", text);
}

skive_status skv_inference_node(skv_inference *x, const skive_node *n) {
    const skive_type **in = NULL;
    const skive_tensor **constant = NULL;
    skive_type *out = NULL;
    skive_status status;
    if (!n->op || !n->op->infer) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(x->ctx, (size_t)n->n_inputs + 1, sizeof *in, &in));
    SKV_GO(status, done, skv_alloc_array(x->ctx, (size_t)n->n_inputs + 1, sizeof *constant, &constant));
    SKV_GO(status, done, skv_alloc_array(x->ctx, (size_t)n->n_outputs + 1, sizeof *out, &out));
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        in[i] = n->inputs[i] ? &x->types[n->inputs[i]->id] : NULL;
        constant[i] = skv_inference_known(x, n->inputs[i]);
    }
    SKV_GO(status, done, skv_op_infer(x->ctx, n, in, constant, out));
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        if (!n->outputs[o]) continue;
        skv_type_fill(&out[o], &n->outputs[o]->type);
        SKV_GO(status, done, check_size(x->ctx, n->name, &out[o]));
        x->types[n->outputs[o]->id] = out[o];
    }
    status = carry(x, n);
done:
    skv_free(x->ctx, in);
    skv_free(x->ctx, constant);
    skv_free(x->ctx, out);
    return status;
}

skive_status skv_inference_grow(skv_inference *x) {
    const skive_graph *g = x->graph;
    if (g->n_values > x->capacity || !x->types) {
        const uint32_t capacity =
            x->capacity + x->capacity / 2 > g->n_values ? x->capacity + x->capacity / 2 : g->n_values;
        skive_type *types = NULL;
        skive_tensor *known = NULL;
        SKV_TRY(skv_alloc_array(x->ctx, (size_t)capacity + 1, sizeof *types, &types));
        const skive_status status = skv_alloc_array(x->ctx, (size_t)capacity + 1, sizeof *known, &known);
        if (status != SKIVE_OK) {
            skv_free(x->ctx, types);
            return status;
        }
        if (x->n) memcpy(types, x->types, x->n * sizeof *types);
        if (x->n) memcpy(known, x->known, x->n * sizeof *known);
        skv_free(x->ctx, x->types);
        skv_free(x->ctx, x->known);
        x->types = types;
        x->known = known;
        x->capacity = capacity;
    }
    for (; x->n < g->n_values; x->n++) x->types[x->n] = g->values[x->n]->type;
    return SKIVE_OK;
}

void skv_inference_commit(const skv_inference *x) {
    for (uint32_t i = 0; i < x->n; i++) x->graph->values[i]->type = x->types[i];
}

void skv_inference_free(skv_inference *x) {
    for (uint32_t i = 0; x->known && i < x->n; i++) skive_tensor_free(x->ctx, &x->known[i]);
    skv_free(x->ctx, x->types);
    skv_free(x->ctx, x->known);
}

static skive_status infer_graph(skive_graph *g, skive_status (*node)(skv_inference *x, const skive_node *n)) {
    skv_inference x = {.ctx = g->ctx, .graph = g};
    skive_node **order = NULL;
    skive_status status;
    SKV_GO(status, done, skv_graph_topo(g, &order));
    SKV_GO(status, done, skv_inference_grow(&x));
    for (uint32_t i = 0; i < g->n_inputs; i++)
        SKV_GO(status, done, check_size(g->ctx, g->inputs[i]->name, &g->inputs[i]->type));
    for (uint32_t i = 0; i < g->n_nodes; i++) SKV_GO(status, done, node(&x, order[i]));
    skv_inference_commit(&x);
done:
    skv_free(g->ctx, order);
    skv_inference_free(&x);
    return status;
}

skive_status skive_graph_infer(skive_graph *g) {
    SKV_NEED(g ? g->ctx : NULL, "graph", g);
    return infer_graph(g, skv_inference_node);
}

void skv_graph_take_outer_types(skive_graph *sub) {
    for (uint32_t i = 0; i < sub->n_values; i++) {
        if (sub->values[i]->outer) sub->values[i]->type = sub->values[i]->outer->type;
    }
}

void skv_graph_spread_types(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        for (uint32_t k = 0; k < g->nodes[i]->n_attrs; k++) {
            skive_graph *sub = g->nodes[i]->attrs[k].graph;
            if (!sub) continue;
            skv_graph_take_outer_types(sub);
            skv_graph_spread_types(sub);
        }
    }
}

static skive_status infer_nested_node(skv_inference *x, const skive_node *n) {
    for (uint32_t k = 0; k < n->n_attrs; k++) {
        skive_graph *sub = n->attrs[k].graph;
        if (!sub) continue;
        for (uint32_t i = 0; i < sub->n_values; i++) {
            skive_value *v = sub->values[i];
            if (v->outer) v->type = x->types[v->outer->id];
        }
        SKV_TRY(skv_graph_infer_nested(sub));
    }
    return skv_inference_node(x, n);
}

skive_status skv_graph_infer_nested(skive_graph *g) { return infer_graph(g, infer_nested_node); }
