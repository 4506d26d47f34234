/* The copy of the model that quantization changes. */
#include "graph/shared.h"
#include "passes/pass.h"
#include "quant/quant.h"

/* Computes with integers already. Constants that are stored as integers do not count: they are folded. */
static bool is_quantized(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR)) return n->n_inputs > 0 && n->inputs[0] && !n->inputs[0]->storage;
    return SKV_NODE_IS_ANY(n, SKV_OP_QUANTIZE_LINEAR, SKV_OP_DYNAMIC_QUANTIZE_LINEAR, SKV_OP_MAT_MUL_INTEGER,
                           SKV_OP_CONV_INTEGER);
}

skive_status skv_quant_check_model(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (is_quantized(n))
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, n->name,
                               "the model is already quantized (node '%s'); start from the float model", n->name);
    }
    return skv_quant_check_skip(ctx, g, o);
}

skive_status skv_quant_prepare(skive_context *ctx, const skive_graph *graph, skive_graph **out) {
    const skv_pass_env env = {.ctx = ctx};
    skive_graph *g = NULL;
    size_t changes;
    skive_status status;
    *out = NULL;
    SKV_TRY(skive_graph_copy(ctx, graph, &g));
    SKV_GO(status, failed, skive_graph_to_inference(g));
    SKV_GO(status, failed, skv_shared_inflate_all(g));
    SKV_GO(status, failed, skive_graph_infer(g));
    SKV_GO(status, failed, skv_graph_check_finite(ctx, g));
    SKV_GO(status, failed, skv_passes_run(&env, g, SKV_PASS_CLEAN | SKV_PASS_INFERENCE, &changes));
    (void)skv_graph_sweep(g);
    SKV_GO(status, failed, skive_graph_infer(g));
    *out = g;
    return SKIVE_OK;
failed:
    skive_graph_free(g);
    return status;
}
