/* The copy of the model that quantization changes. */
#include <math.h>

#include "graph/shared.h"
#include "graph/weights.h"
#include "passes/pass.h"
#include "quant/quant.h"

/* Computes with integers already. Constants that are stored as integers do not count: they are folded. */
static bool is_quantized(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR))
        return n->n_inputs > 0 && n->inputs[0] && !skv_quant_parameter(n, 0)->storage;
    return SKV_NODE_IS_ANY(n, SKV_OP_QUANTIZE_LINEAR, SKV_OP_DYNAMIC_QUANTIZE_LINEAR, SKV_OP_MAT_MUL_INTEGER,
                           SKV_OP_CONV_INTEGER);
}

/* The first such node, in bodies too. */
static const skive_node *find_quantized(const skive_graph *g) {
    const skive_node *found = NULL;
    for (uint32_t i = 0; !found && i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (is_quantized(n)) found = n;
        for (uint32_t a = 0; !found && g->nests && a < n->n_attrs; a++)
            if (n->attrs[a].graph) found = find_quantized(n->attrs[a].graph);
    }
    return found;
}

skive_status skv_quant_check_model(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o) {
    const skive_node *n = find_quantized(g);
    if (n)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, n->name,
                           "the model is already quantized (node '%s'); start from the float model", n->name);
    return skv_quant_check_skip(ctx, g, o);
}

/* Not by fmax, at whose loops gcc 12 ends for AArch64. NaN: most. */
static double larger(double most, float x) {
    const double size = fabs((double)x);
    return size > most ? size : most;
}

/* Of each output channel the sum of the magnitudes of its codes, times the largest difference of two bytes. A quarter
 * of the range is left for the bias. */
const char *skv_quant_sums_why_not(const skive_node *n, bool per_channel) {
    enum { LARGEST_X = 255, LARGEST_W = 127 };
    const double limit = 3.0 * (1 << 29);
    const skive_tensor *t = skv_value_tensor(skv_quant_parameter(n, 1));
    skv_weight_view v;
    if (!t || t->dtype != SKIVE_F32 || !skv_weight_view_of(n, 1, &v) || v.out_axis < 0) return NULL;
    const int64_t count = skive_tensor_count(t), m = t->dims[v.out_axis];
    if (m < 1 || (double)count / (double)m * LARGEST_X * LARGEST_W <= limit) return NULL;
    const float *x = t->data;
    int64_t step = 1;
    double most = 0;
    for (int d = v.out_axis + 1; d < t->rank; d++) step *= t->dims[d];
    for (int64_t i = 0; !per_channel && i < count; i++) most = larger(most, x[i]);
    for (int64_t o = 0; o < m; o++) {
        double sum = 0, top = most;
        for (int64_t i = o * step; i < count; i += m * step) {
            for (int64_t k = i; k < i + step; k++) {
                sum += fabs((double)x[k]);
                if (per_channel) top = larger(top, x[k]);
            }
        }
        if (top > 0 && sum / top * LARGEST_W * LARGEST_X > limit) return "its sums may leave 32 bits";
    }
    return NULL;
}

void skv_quant_sweep(skive_graph *g) {
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++)
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++)
            if (g->nodes[i]->attrs[a].graph) skv_quant_sweep(g->nodes[i]->attrs[a].graph);
    (void)skv_graph_sweep(g);
}

skive_status skv_quant_prepare(skive_context *ctx, const skive_graph *graph, bool smallest, skive_graph **out) {
    const skv_pass_env env = {.ctx = ctx, .for_file = smallest};
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
