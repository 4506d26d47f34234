/* The least operator set version a graph needs, and the IR version that goes with it. */
#include "onnx/export_opset.h"

static int needed_by(const skive_node *n) {
    if (!n->op || *n->domain) return SKV_ONNX_LEAST_WRITTEN;
    int least = n->op->needs_opset ? n->op->needs_opset(n) : n->op->since;
    return least > SKV_ONNX_LEAST_WRITTEN ? least : SKV_ONNX_LEAST_WRITTEN;
}

/* 4-bit parameters exist from 21 on, whatever the op says. */
static int needed_by_data(const skive_value *v) {
    if (!v->storage) return SKV_ONNX_LEAST_WRITTEN;
    skive_dtype dtype = v->storage->tensor.dtype;
    return dtype == SKIVE_I4 || dtype == SKIVE_U4 ? 21 : SKV_ONNX_LEAST_WRITTEN;
}

int skv_onnx_least_opset(const skive_graph *g, const char **what) {
    int least = SKV_ONNX_LEAST_WRITTEN;
    for (uint32_t i = 0; i < g->n_values; i++) {
        int needed = needed_by_data(g->values[i]);
        if (needed > least) {
            least = needed;
            *what = g->values[i]->name;
        }
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        const char *inner = n->name;
        int needed = needed_by(n);
        for (uint32_t k = 0; k < n->n_attrs; k++) {
            if (n->attrs[k].type != SKV_ATTR_GRAPH) continue;
            const char *name = n->name;
            int sub = skv_onnx_least_opset(n->attrs[k].graph, &name);
            if (sub > needed) {
                needed = sub;
                inner = name;
            }
        }
        if (needed > least) {
            least = needed;
            *what = inner;
        }
    }
    return least;
}

const char *skv_onnx_unknown_standard(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (!n->op && !*n->domain) return n->op_type;
        for (uint32_t k = 0; k < n->n_attrs; k++) {
            const char *found =
                n->attrs[k].type == SKV_ATTR_GRAPH ? skv_onnx_unknown_standard(n->attrs[k].graph) : NULL;
            if (found) return found;
        }
    }
    return NULL;
}

int skv_onnx_ir_version(int opset) {
    if (opset <= 14) return 7;
    if (opset <= 18) return 8;
    if (opset <= 20) return 9;
    if (opset <= 22) return 10;
    return 11;
}
