/* The operator set version in which a graph is written, and the corresponding IR version. */
#include <stdio.h>
#include <string.h>

#include "onnx/export_opset.h"
#include "onnx/schema.h"
#include "ops/common_shape.h"

/* The version that op records and element types require; the schemas are checked afterwards. */
static int needed_by(const skive_node *n) {
    if (!n->op || *n->domain) return SKV_ONNX_LEAST_WRITTEN;
    int least = n->op->needs_opset ? n->op->needs_opset(n) : n->op->since;
    return least > SKV_ONNX_LEAST_WRITTEN ? least : SKV_ONNX_LEAST_WRITTEN;
}

/* A parameter of an element type that came later needs the opset that has it, whatever the op; float8 in a parameter
 * alone needs none. */
static int needed_by_data(const skive_value *v) {
    if (!v->storage) return SKV_ONNX_LEAST_WRITTEN;
    const int opset = skv_dtype_opset(v->storage->tensor.dtype);
    return opset > 19 ? opset : SKV_ONNX_LEAST_WRITTEN;
}

static int least_of(const skive_graph *g) {
    int least = SKV_ONNX_LEAST_WRITTEN;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const int needed = needed_by_data(g->values[i]);
        if (needed > least) least = needed;
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        int needed = needed_by(n);
        for (uint32_t k = 0; k < n->n_attrs; k++) {
            const int sub = n->attrs[k].type == SKV_ATTR_GRAPH ? least_of(n->attrs[k].graph) : 0;
            if (sub > needed) needed = sub;
        }
        if (needed > least) least = needed;
    }
    return least;
}

/* The first node of g and its subgraphs that `opset` does not allow, with the reason. `read_under`: the version in
 * which operators that skive does not know were read. */
static const skive_node *first_refused(const skive_graph *g, int opset, int read_under, skv_onnx_why *why) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (!*n->domain && n->op) {
            if (needed_by(n) > opset) {
                (void)snprintf(why->text, sizeof why->text, "this form of the operator was introduced in opset %d",
                               needed_by(n));
                return n;
            }
            if (!skv_schema_allows(n, opset, why->text, sizeof why->text)) return n;
        } else if (!*n->domain && opset != read_under) {
            const skv_schema *here = skv_schema_find(n->op_type, opset);
            if (!here || here != skv_schema_find(n->op_type, read_under)) {
                (void)snprintf(
                    why->text, sizeof why->text,
                    "skive does not know the operator and can only write it in opset %d, from which it was read",
                    read_under);
                return n;
            }
        }
        for (uint32_t k = 0; k < n->n_attrs; k++) {
            if (n->attrs[k].type != SKV_ATTR_GRAPH) continue;
            const skive_node *inner = first_refused(n->attrs[k].graph, opset, read_under, why);
            if (inner) return inner;
        }
    }
    return NULL;
}

static bool data_allowed(const skive_graph *g, int opset) { return least_of(g) <= opset; }

static skive_status refuse(skive_context *ctx, const skive_node *n, int opset, const skv_onnx_why *why) {
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name, "node %s (%s) cannot be written in opset %d: %s", n->name,
                       n->op_type, opset, why->text);
}

skive_status skv_onnx_choose_opset(skive_context *ctx, const skive_graph *g, int asked, int *out) {
    const int newest = g->opset > SKV_ONNX_MAX_OPSET ? g->opset : SKV_ONNX_MAX_OPSET;
    const skive_node *first = NULL;
    skv_onnx_why why = {""}, first_why = {""};
    if (asked && (asked < SKV_ONNX_LEAST_WRITTEN || asked > newest || !data_allowed(g, asked))) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT,
                        "opset %d cannot be written: this model needs at least %d, and %d is the newest", asked,
                        least_of(g), newest);
    }
    *out = asked ? asked : least_of(g);
    for (; *out <= newest; ++*out) {
        const skive_node *n = first_refused(g, *out, g->opset, &why);
        if (!n) return SKIVE_OK;
        if (asked) {
            (void)refuse(ctx, n, asked, &why);
            return SKIVE_ERR_ARGUMENT;
        }
        if (!first) {
            first = n;
            first_why = why;
        }
    }
    *out -= 1;
    return refuse(ctx, first, least_of(g), &first_why);
}

int skv_onnx_ir_version(int opset) {
    if (opset <= 14) return 7;
    if (opset <= 18) return 8;
    if (opset <= 20) return 9;
    if (opset <= 22) return 10;
    if (opset == 23) return 11;
    return opset == 24 ? 12 : opset <= 27 ? 13 : 14;
}
