/* Integer nodes get fixed-point multipliers: the form of processors without a float unit (ops/quant/common_fixed.h).
 * The numbers stand for the same multipliers to 31 bits, but products are rounded differently, so that an output may
 * differ by one step from that of the float form. */
#include "ops/quant/common_fixed.h"
#include "passes/pass.h"

static skive_status set_list(skive_node *n, const double *multiplier, size_t count) {
    skive_context *ctx = n->graph->ctx;
    int64_t *pairs = NULL;
    SKV_TRY(skv_alloc_array(ctx, 2 * count + 1, sizeof *pairs, &pairs));
    for (size_t i = 0; i < count; i++) {
        int32_t q31;
        int shift;
        skv_q_fixed_of((double)(float)multiplier[i], &q31, &shift);
        pairs[i] = q31;
        pairs[count + i] = shift;
    }
    skive_status status = skv_node_set_attr(n, &SKV_INTS("multiplier_q31", pairs, count));
    if (status == SKIVE_OK) status = skv_node_set_attr(n, &SKV_INTS("multiplier_shift", pairs + count, count));
    skv_free(ctx, pairs);
    return status;
}

static skive_status set_sum(skive_node *n, bool *done) {
    skv_q_add_fixed f;
    if (!skv_q_add_fixed_of(skv_attr_float(n, "a_scale", 0), skv_attr_float(n, "b_scale", 0),
                            skv_attr_float(n, "y_scale", 0), &f))
        return SKIVE_OK; /* stays in float */
    const skv_attr_init attrs[] = {SKV_INT("a_q31", f.a_q31), SKV_INT("a_shift", f.a_shift),
                                   SKV_INT("b_q31", f.b_q31), SKV_INT("b_shift", f.b_shift),
                                   SKV_INT("y_q31", f.y_q31), SKV_INT("y_shift", f.y_shift)};
    for (size_t i = 0; i < SKV_COUNT(attrs); i++) SKV_TRY(skv_node_set_attr(n, &attrs[i]));
    *done = true;
    return SKIVE_OK;
}

static skive_status set(skive_node *n, bool *done) {
    const skv_attr *m = skv_node_attr(n, "multiplier");
    if (skv_node_attr(n, "multiplier_q31") || skv_node_attr(n, "a_q31")) return SKIVE_OK;
    if (skv_node_is(n, SKV_OP_Q_ADD)) return set_sum(n, done);
    if (!m || strcmp(skv_attr_string(n, "y_dtype", "u8"), "float") == 0) return SKIVE_OK;
    *done = true;
    if (skv_node_is(n, SKV_OP_Q_CONV) || skv_node_is(n, SKV_OP_Q_GEMM)) return set_list(n, m->floats, m->n);
    const double one = skv_attr_float(n, "multiplier", 0);
    if (skv_node_is(n, SKV_OP_Q_AVERAGE_POOL) || skv_node_is(n, SKV_OP_Q_GLOBAL_AVERAGE_POOL))
        return set_list(n, &one, 1);
    *done = false;
    return SKIVE_OK;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    (void)env;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        bool done = false;
        if (g->nodes[i]->domain[0]) SKV_TRY(set(g->nodes[i], &done));
        *changes += done;
    }
    return SKIVE_OK;
}

const skv_pass skv_pass_fixed_multipliers = {
    .name = "fixed-multipliers",
    .brief = "gives integer nodes fixed-point multipliers, for plans that ask for them",
    .when = SKV_PASS_FIXED,
    .run = run,
};
