/* Parameters that hold NaN or infinity. */
#include "graph/weights.h"
#include "tensor/tensor.h"

/* Infinity has a meaning in tables and in what is added (masks), but in no weight, and in no bias or statistic that an
 * operator has an input for. */
static bool is_weight(const skive_value *v) {
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const skive_node *n = v->uses[i].node;
        const skv_input_spec *s = skv_input_spec_of(n, (size_t)v->uses[i].index);
        if (!s || s->role == SKV_ROLE_TABLE) continue;
        if (s->either ? skv_input_role(n, (size_t)v->uses[i].index) == SKV_ROLE_WEIGHT : s->role >= SKV_ROLE_STATISTIC)
            return true;
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
