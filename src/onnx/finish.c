/* From the graph as read to the canonical graph: every node in its opset-21 form, no unused parameters, trainable ones
 * marked, checked and inferred. */
#include <stdio.h>
#include <string.h>

#include "graph/marks.h"
#include "graph/weights.h"
#include "onnx/onnx_import.h"
#include "onnx/schema.h"
#include "tensor/tensor.h"

/* ---- canonical form ---- */

/* The value that a captured one refers to. */
static const skive_value *origin(const skive_value *v) {
    while (v->outer) v = v->outer;
    return v;
}

/* Types of one node's outputs, as far as they are known now: some old forms can only be converted with known ranks. An
 * error here occurs again, with its message, in the inference of the finished graph. */
static skive_status infer_node(skv_onnx_importer *im, skive_node *n) {
    const skive_type **in;
    const skive_tensor **constant;
    skive_type *types;
    skv_arena *arena = im->source->arena;
    SKV_TRY(skv_arena_array(arena, n->n_inputs, sizeof *in, &in));
    SKV_TRY(skv_arena_array(arena, n->n_inputs, sizeof *constant, &constant));
    SKV_TRY(skv_arena_array(arena, n->n_outputs, sizeof *types, &types));
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (!n->inputs[i]) continue;
        in[i] = &n->inputs[i]->type;
        constant[i] = skv_value_tensor(origin(n->inputs[i]));
    }
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        types[i] = n->outputs[i] ? n->outputs[i]->type : (skive_type){.dtype = SKIVE_DTYPE_NONE, .rank = -1};
    }
    skive_status status = skv_op_infer(im->ctx, n, in, constant, types);
    if (status == SKIVE_ERR_MEMORY) return status;
    for (uint32_t i = 0; i < n->n_outputs && status == SKIVE_OK; i++) {
        if (!n->outputs[i]) continue;
        skv_type_fill(&types[i], &n->outputs[i]->type);
        n->outputs[i]->type = types[i];
    }
    return SKIVE_OK;
}

static skive_status canonical_graph(skv_onnx_importer *im, skive_graph *g);

/* An attribute that the op record does not know has no effect if it has its default value, and is dropped; otherwise
 * the node is unsupported. */
static void drop_or_refuse(skv_onnx_importer *im, skive_node *n) {
    const char *name;
    while ((name = skv_op_unknown_attr(n->op, n)) && skv_schema_is_default(n->op_type, skv_node_attr(n, name)))
        skv_node_remove_attr(n, name);
    if (!name || strcmp(name, SKV_ONNX_DROPPED) == 0) return;
    skv_note(im->ctx,
             "node %s (%s): skive does not know the attribute %s, which may change the result; the node cannot be run",
             n->name, n->op_type, name);
    n->op = NULL;
}

/* Old forms, and operators of ai.onnx.ml, may need the ranks of their inputs. */
static bool needs_ranks(int opset, const skive_graph *g) {
    bool found = opset < 13;
    for (uint32_t i = 0; i < g->n_nodes && !found; i++) found = strcmp(g->nodes[i]->domain, "ai.onnx.ml") == 0;
    return found;
}

static skive_status canonical_node(skv_onnx_importer *im, skive_node *n, bool infers) {
    int opset = im->opset;
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (n->attrs[i].type != SKV_ATTR_GRAPH) continue;
        skive_graph *sub = n->attrs[i].graph;
        skv_graph_take_outer_types(sub);
        SKV_TRY(canonical_graph(im, sub));
    }
    if (strcmp(n->domain, "ai.onnx.ml") == 0) return skv_onnx_import_ml(n);
    if (!n->op) return skv_onnx_import_contrib(n);
    if (*n->domain) return SKIVE_OK;
    if (opset < 7) {
        SKV_TRY(skv_onnx_upgrade_legacy(im->source, n, opset));
        opset = 7;
    }
    skive_graph *g = n->graph;
    if (n->op->import) SKV_TRY(n->op->import(g, n, opset));
    const bool replaced = n->removed;
    if (!replaced) drop_or_refuse(im, n);
    return infers && !replaced ? infer_node(im, n) : SKIVE_OK;
}

static skive_status canonical_graph(skv_onnx_importer *im, skive_graph *g) {
    skive_node **order;
    size_t n = g->n_nodes;
    skive_status status = SKIVE_OK;
    SKV_TRY(skv_graph_topo(g, &order));
    const bool infers = needs_ranks(im->opset, g);
    skv_graph_hold(g);
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) status = canonical_node(im, order[i], infers);
    skv_graph_settle(g);
    skv_free(im->ctx, order);
    return status;
}

/* ---- parameters ---- */

static skive_status tidy_parameters(skv_onnx_importer *im, skive_graph *g) {
    size_t dropped = 0;
    char first[200] = "";
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        for (uint32_t k = 0; k < g->nodes[i]->n_attrs; k++) {
            if (g->nodes[i]->attrs[k].type == SKV_ATTR_GRAPH) SKV_TRY(tidy_parameters(im, g->nodes[i]->attrs[k].graph));
        }
    }
    skv_graph_hold(g);
    for (uint32_t i = g->n_values; i-- > 0 && status == SKIVE_OK;) {
        skive_value *v = g->values[i];
        if (!v->storage) continue;
        if (skv_value_is_read(v) || im->source->options.keep_unused) continue;
        size_t room = sizeof first - strlen(first);
        if (strlen(v->name) + 4 < room) {
            (void)snprintf(first + strlen(first), room, "%s%s", *first ? ", " : "", v->name);
        }
        dropped++;
        status = skv_graph_remove_value(v);
    }
    skv_graph_settle(g);
    if (dropped) {
        skv_note(im->ctx, "%s: %zu unused parameter%s removed: %s%s", im->source->label, dropped,
                 dropped == 1 ? "" : "s", first, strlen(first) > 150 ? " ..." : "");
    }
    return status;
}

skive_status skv_onnx_finish(skv_onnx_importer *im, skive_graph *g) {
    if (im->opset > SKV_ONNX_MAX_OPSET) im->opset = SKV_ONNX_MAX_OPSET;
    SKV_TRY(canonical_graph(im, g));
    SKV_TRY(tidy_parameters(im, g));
    SKV_TRY(skive_graph_check(g));
    SKV_TRY(skv_graph_infer_nested(g));
    SKV_TRY(skv_mark_trainable(g));
    return skv_marks_read(g);
}
