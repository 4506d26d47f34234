/* Parameters that hold NaN or infinity. */
#include "graph/graph.h"
#include "tensor/tensor.h"

static bool multiplies(const skive_node *n) {
    static const char *const ops[] = {"Conv", "ConvTranspose", "Gemm", "MatMul",
                                      "LSTM", "GRU",           "RNN",  "BatchNormalization"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (skv_node_is(n, ops[i])) return true;
    }
    return false;
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
