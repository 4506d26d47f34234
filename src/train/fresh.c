/* The same network before any training: what is learned is drawn anew. */
#include <math.h>
#include <string.h>

#include "train/train.h"

static double mean_square(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return n > 0 ? sum / (double)n : 0;
}

/* Normal numbers: for what is multiplied with data the deviation of He, Zhang, Ren & Sun 2015, and for recurrent layers
 * that of Glorot & Bengio 2010; for tables and all else the deviation that they have. */
static double deviation_of(const skive_value *v, const float *x, int64_t n) {
    skv_weight_view view;
    for (uint32_t u = 0; u < v->n_uses; u++) {
        if (!skv_weight_view_of(v->uses[u].node, (size_t)v->uses[u].index, &view) || view.in_axis < 0) continue;
        const int64_t of_block = view.out / (view.blocks > 0 ? view.blocks : 1);
        const double in = (double)(view.in * view.taps), out = (double)of_block;
        if (in < 1) continue;
        return view.blocks > 1 ? sqrt(2 / (in + out)) : sqrt(2 / in);
    }
    return sqrt(mean_square(x, n));
}

static void draw(const skive_value *v, skv_role role, uint64_t seed, float *x, int64_t n) {
    const uint64_t stream = skv_hash64(v->name, strlen(v->name), 0xf2e5);
    const double deviation = skv_role_decays(role) ? deviation_of(v, x, n) : 0;
    for (int64_t i = 0; i < n; i++)
        x[i] = skv_role_decays(role)    ? (float)(deviation * skv_rng_normal(seed, stream, (uint64_t)i))
               : role == SKV_ROLE_SCALE ? 1.0f
                                        : 0.0f;
}

static skive_status own(skive_context *ctx, skive_value *v, float **x, int64_t *n) {
    *x = NULL;
    *n = 0;
    if (!v || !v->storage || v->type.dtype != SKIVE_F32) return SKIVE_OK;
    SKV_TRY(skv_storage_make_unique(ctx, &v->storage));
    *x = v->storage->tensor.data;
    *n = skive_tensor_count(&v->storage->tensor);
    return SKIVE_OK;
}

/* Running statistics: a mean of 0, a variance of 1. */
static skive_status renew_statistics(skive_graph *g) {
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        const skive_node *node = g->nodes[k];
        if (!skv_node_is(node, SKV_OP_BATCH_NORMALIZATION)) continue;
        for (uint32_t i = 3; i < 5; i++) {
            float *x;
            int64_t n;
            SKV_TRY(own(g->ctx, node->inputs[i], &x, &n));
            for (int64_t e = 0; e < n; e++) x[e] = i == 4 ? 1.0f : 0.0f;
        }
    }
    return SKIVE_OK;
}

skive_status skv_params_renew(skive_graph *g, uint64_t seed) {
    skv_role *roles = NULL;
    SKV_TRY(skv_graph_roles(g->ctx, g, &roles));
    skive_status status = skv_params_mark_trainable(g);
    for (uint32_t i = 0; i < g->n_values && status == SKIVE_OK; i++) {
        float *x;
        int64_t n;
        if (!g->values[i]->trainable || !skv_role_is_learned(roles[i])) continue;
        status = own(g->ctx, g->values[i], &x, &n);
        if (status == SKIVE_OK && x) draw(g->values[i], roles[i], seed, x, n);
    }
    skv_free(g->ctx, roles);
    return status == SKIVE_OK ? renew_statistics(g) : status;
}
