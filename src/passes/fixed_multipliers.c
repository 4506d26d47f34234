/* Integer nodes get fixed-point multipliers: the form of processors without a float unit (ops/quant/common_fixed.h).
 * The numbers stand for the same multipliers to 31 bits, but products are rounded differently, so that an output may
 * differ by one step from that of the float form.
 *
 * A model that says "shift" has scales that are powers of two, and so are the multipliers of its products: M is 2^30,
 * and rounding "single" then is t = floor(v / 2^n + 1/2), a sum and a shift. Averages over a number of elements that is
 * no power of two are what is left to multiply. */
#include <math.h>

#include "ops/quant/common_fixed.h"
#include "graph/graph.h"
#include "graph/meta_keys.h"
#include "passes/pass.h"

/* How the model asks for it. */
static bool by_shifts(const skive_graph *g) {
    const char *form = skv_graph_multipliers(g);
    return form && strcmp(form, "shift") == 0;
}

static bool is_product(const skive_node *n) { return skv_node_is(n, SKV_OP_Q_CONV) || skv_node_is(n, SKV_OP_Q_GEMM); }

static skive_status set_list(skive_node *n, const double *multiplier, size_t count) {
    skive_context *ctx = n->graph->ctx;
    const bool shifts = by_shifts(n->graph);
    bool powers = true;
    int64_t *pairs = NULL;
    for (size_t i = 0; i < count; i++) {
        int exponent;
        const double fraction = frexp((double)(float)multiplier[i], &exponent);
        if (!shifts || fraction == 0.5 || fraction == 0) continue;
        powers = false;
        if (is_product(n))
            return skv_fail_at(ctx, SKIVE_ERR_GRAPH, n->name,
                               "%s: the model multiplies by shifts alone (" SKV_META_MULTIPLIERS
                               ": shift), but a multiplier is %g, no power of two: quantize it with --multiplier shift",
                               n->op_type, multiplier[i]);
    }
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
    if (status == SKIVE_OK && shifts && powers) status = skv_node_set_attr(n, &SKV_STR("rounding", "single"));
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
    if (is_product(n)) return set_list(n, m->floats, m->n);
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
