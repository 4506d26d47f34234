/* Parameters that hold NaN or infinity. */
#include "graph/graph.h"
#include "tensor/tensor.h"

static bool multiplies(const skive_node *n) {
    static const skv_op_kind ops[] = {
        SKV_OP_CONV, SKV_OP_CONV_TRANSPOSE,     SKV_OP_GEMM, SKV_OP_MAT_MUL, SKV_OP_LSTM, SKV_OP_GRU,
        SKV_OP_RNN,  SKV_OP_BATCH_NORMALIZATION};
    return skv_node_is_any(n, ops, sizeof ops / sizeof ops[0]);
}

static bool is_weight(const skive_value *v) {
    for (uint32_t i = 0; i < v->n_uses; i++) {
        if (multiplies(v->uses[i].node)) return true;
    }
    return false;
}

int64_t skv_value_damage(const skive_value *v) {
    int64_t nans, infinities;
    if (!v || !skv_value_is_param(v)) return 0;
    skv_count_nonfinite(skv_value_tensor(v), &nans, &infinities);
    /* Infinity is fine in a mask that is added. */
    return nans + (infinities && is_weight(v) ? infinities : 0);
}

skive_status skv_graph_check_finite(skive_context *ctx, const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        const int64_t bad = skv_value_damage(v);
        if (bad == 0) continue;
        return skv_fail_at(ctx, SKIVE_ERR_NUMERIC, v->name,
                           "parameter '%s' contains NaN or infinity (%lld of %lld values); the model is damaged",
                           v->name, (long long)bad, (long long)skv_type_count(&v->type));
    }
    return SKIVE_OK;
}
