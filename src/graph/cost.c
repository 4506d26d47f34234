/* What a node or a graph costs: multiply-accumulates from the op's record, parameters and bytes from the values. */
#include <string.h>

#include "graph/internal.h"
#include "graph/shared.h"
#include "graph/op.h"
#include "tensor/tensor.h"

/* Zero means zero; of a quantized weight it means its zero point (one, or one a slice of the axis). */
typedef struct zero_point {
    const skive_tensor *values; /* NULL: plain zero */
    int64_t inner, count;       /* element i belongs to zero point i / inner % count */
} zero_point;

static zero_point zero_point_of(const skive_value *v) {
    zero_point z = {NULL, 1, 1};
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const skive_node *n = v->uses[i].node;
        if (!skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) || v->uses[i].index != 0) continue;
        const skive_tensor *t = skv_value_tensor(skv_node_in(n, 2));
        if (!t || skv_attr_int(n, "block_size", 0) != 0) return z;
        z.values = t;
        z.count = skive_tensor_count(t);
        if (z.count == 0) return (zero_point){NULL, 1, 1};
        if (z.count > 1) {
            const int64_t axis = skv_axis(skv_attr_int(n, "axis", 1), v->type.rank);
            for (int64_t d = axis + 1; axis >= 0 && d < v->type.rank; d++) z.inner *= v->type.dims[d].size;
        }
        return z;
    }
    return z;
}

static bool counts_as_parameter(const skive_value *v) {
    switch (v->type.dtype) {
    case SKIVE_F32:
    case SKIVE_F64:
    case SKIVE_F16:
    case SKIVE_BF16: return true;
    case SKIVE_I8:
    case SKIVE_U8:
    case SKIVE_F4E2M1:
    case SKIVE_I2:
    case SKIVE_U2:
    case SKIVE_I4:
    case SKIVE_U4:
    case SKIVE_I32:
    case SKIVE_I16:
    case SKIVE_U16: break;
    default: return false;
    }
    /* Integers count where they are weights or biases in quantized form, not where they are zero points. */
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const skive_node *n = v->uses[i].node;
        if (skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) && v->uses[i].index == 0) return true;
        if ((skv_node_is(n, SKV_OP_Q_CONV) || skv_node_is(n, SKV_OP_Q_GEMM)) && v->uses[i].index > 0) return true;
    }
    return false;
}

static int64_t nonzeros_of(const skive_value *v) {
    if (v->storage->coded) return skv_coded_nonzeros(v->storage->coded);
    const skive_tensor *t = skv_value_tensor(v);
    const zero_point z = zero_point_of(v);
    const int64_t n = skive_tensor_count(t);
    int64_t nonzero = 0;
    if (t->dtype == SKIVE_F32) {
        const float *data = t->data;
        for (int64_t i = 0; i < n; i++) nonzero += data[i] != 0.0f;
        return nonzero;
    }
    for (int64_t i = 0; i < n; i++) {
        const double zero = z.values ? skive_tensor_get(z.values, i / z.inner % z.count) : 0.0;
        nonzero += skive_tensor_get(t, i) != zero;
    }
    return nonzero;
}

/* Of a weight that is kept as a codebook the indices count, one a weight. */
static void add_shared(const skive_value *v, const skv_shared *s, skive_cost *c) {
    const skive_tensor *indices = skv_value_tensor(s->indices);
    const float *codebook = skv_value_tensor(s->codebook)->data;
    const int64_t n = skive_tensor_count(indices);
    if (v != s->indices) return;
    c->parameters += n;
    for (int64_t i = 0; i < n; i++) c->nonzeros += codebook[skv_shared_index(indices, i)] != 0.0f;
}

static void add_parameter(const skive_value *v, skive_cost *c) {
    if (!v->storage) return;
    const skive_tensor *t = &v->storage->tensor;
    skv_shared s;
    c->parameter_bytes += (int64_t)skive_tensor_bytes(t);
    if (skv_shared_find(skv_shared_weight_of(v), &s)) {
        add_shared(v, &s, c);
        return;
    }
    if (!counts_as_parameter(v)) return;
    c->parameters += skive_tensor_count(t);
    c->nonzeros += nonzeros_of(v);
}

/* Are the inputs and the output there that the op's record may count on? */
static bool is_whole(const skive_node *n) {
    for (int i = 0; i < n->op->min_in; i++)
        if ((uint32_t)i >= n->n_inputs || (!n->inputs[i] && i >= n->op->absent_in)) return false;
    if (n->op->min_out > 0) return n->n_outputs > 0 && n->outputs[0];
    for (uint32_t i = 0; i < n->n_outputs; i++) /* a cell of which only the last state is asked for */
        if (n->outputs[i]) return true;
    return false;
}

static void add_node(const skive_node *n, skive_cost *c) {
    if (n->op && n->op->cost && is_whole(n)) n->op->cost(n, c);
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const skive_value *v = n->outputs[i];
        if (!v || v->type.rank < 0) continue;
        const int64_t count = skv_type_count(&v->type);
        const int64_t bytes = skv_add_sat(skv_mul_sat(count, skive_dtype_bits(v->type.dtype)), 7) / 8;
        if (count > 0) c->activation_bytes = skv_add_sat(c->activation_bytes, bytes);
    }
}

skive_status skive_node_cost(const skive_node *n, skive_cost *out) {
    SKV_NEED(n ? n->graph->ctx : NULL, "node, out", n, out);
    *out = (skive_cost){0};
    add_node(n, out);
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        bool again = false;
        for (uint32_t k = 0; k < i; k++) again = again || n->inputs[k] == n->inputs[i];
        if (n->inputs[i] && !again) add_parameter(n->inputs[i], out);
    }
    return SKIVE_OK;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Reading bounds how deep subgraphs nest. */
static void add_subgraphs(const skive_node *n, skive_cost *c) {
    skive_cost most = {0};
    for (size_t i = 0; i < skive_node_subgraph_count(n); i++) {
        skive_cost one;
        (void)skive_graph_cost(skive_node_subgraph(n, i, NULL), &one);
        c->parameters += one.parameters;
        c->nonzeros += one.nonzeros;
        c->parameter_bytes += one.parameter_bytes;
        most.macs = larger(most.macs, one.macs);
        most.operations = larger(most.operations, one.operations);
        most.activation_bytes = larger(most.activation_bytes, one.activation_bytes);
    }
    c->macs = skv_add_sat(c->macs, most.macs);
    c->operations = skv_add_sat(c->operations, most.operations);
    c->activation_bytes = skv_add_sat(c->activation_bytes, most.activation_bytes);
}

skive_status skive_graph_cost(const skive_graph *g, skive_cost *out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, out", g, out);
    *out = (skive_cost){0};
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        add_node(g->nodes[i], out);
        add_subgraphs(g->nodes[i], out);
    }
    for (uint32_t i = 0; i < g->n_values; i++) add_parameter(g->values[i], out);
    return SKIVE_OK;
}
