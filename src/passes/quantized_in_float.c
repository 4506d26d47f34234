/* Methods that change the weights of a quantized model: what can be done in its form for training, and what is refused.
 * See quantized.h. */
#include <string.h>

#include "graph/op.h"
#include "graph/weights.h"
#include "passes/quantized.h"
#include "tensor/storage.h"

skive_status skv_quantized_in_float(skive_graph *graph, skv_in_float_fn work, void *user) {
    skive_context *ctx = graph->ctx;
    skive_graph *copy = NULL;
    size_t changes = 0;
    skive_status status;
    SKV_TRY(skive_graph_copy(ctx, graph, &copy));
    SKV_GO(status, done, skv_quantized_to_training(copy, &changes));
    skv_note(ctx, "%zu parameters stored as integers are floats while they are changed, rounded to the integers' steps",
             changes);
    status = work(copy, user);
    /* An interrupted run leaves its last finished epoch. */
    if (status != SKIVE_OK && status != SKIVE_ERR_INTERRUPTED) goto done;
    const skive_status back = skv_quantized_from_training(copy, &changes);
    if (back == SKIVE_OK) {
        skive_graph_take(graph, copy);
        copy = NULL;
    } else {
        status = back;
    }
done:
    skive_graph_free(copy);
    return status;
}

/* Operators whose weights are integers themselves. */
static bool is_integer_product(const skive_node *n) {
    return SKV_NODE_IS_ANY(n, SKV_OP_MAT_MUL_INTEGER, SKV_OP_MAT_MUL_INTEGER_TO_FLOAT, SKV_OP_CONV_INTEGER,
                           SKV_OP_CONV_INTEGER_TO_FLOAT, SKV_OP_DYNAMIC_QUANTIZE_CELL, SKV_OP_DYNAMIC_QUANTIZE_LSTM,
                           SKV_OP_Q_LINEAR_CONV, SKV_OP_Q_LINEAR_MAT_MUL);
}

/* The node's weight, stored with 16 bits. */
static bool is_half_weight(const skive_node *n) {
    const skive_value *x = n->n_inputs ? n->inputs[0] : NULL;
    return skv_node_is(n, SKV_OP_CAST) && x && x->storage && x->type.rank > 1 &&
           (x->type.dtype == SKIVE_F16 || x->type.dtype == SKIVE_BF16);
}

static bool is_integer_weight(const skive_node *n) {
    const skive_value *x = n->n_inputs ? n->inputs[0] : NULL;
    return skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) && x && x->storage && x->type.rank > 1;
}

static skive_status has_float_weights(const skive_graph *g, bool *has) {
    skv_weight *weights = NULL;
    size_t n = 0;
    *has = false;
    SKV_TRY(skv_weights(g->ctx, g, &weights, &n));
    for (size_t i = 0; i < n; i++)
        *has = *has || (weights[i].value->storage && weights[i].value->type.dtype == SKIVE_F32);
    skv_free(g->ctx, weights);
    return SKIVE_OK;
}

skive_status skv_quantized_refuse(const skive_graph *g, const char *done, unsigned what) {
    bool floats = false;
    if (what == SKV_QUANTIZED_ALL) SKV_TRY(has_float_weights(g, &floats));
    if (floats) return SKIVE_OK;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        const bool product = (what & SKV_QUANTIZED_PRODUCTS) && is_integer_product(n);
        const bool half = (what & SKV_QUANTIZED_HALF) && is_half_weight(n);
        const bool integer = (what & SKV_QUANTIZED_WEIGHTS) && is_integer_weight(n);
        if (!product && !half && !integer) continue;
        const skive_value *w = product ? NULL : n->inputs[0];
        return skv_fail_at(
            g->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
            "the model is quantized: %s '%s' %s%s; it cannot be %s in this form. Take the float model, and "
            "quantize the result",
            product ? n->op_type : "the weight", product ? n->name : w->name,
            product ? "multiplies integers" : "is stored as ", product ? "" : skive_dtype_name(w->type.dtype), done);
    }
    return SKIVE_OK;
}
