/* RMSNormalization over the last axis written out by exporters: x / sqrt(mean(x^2) + epsilon) * scale, the root as a
 * divisor or as a factor 1 / sqrt(..). */
#include "passes/match.h"

typedef struct rms {
    skive_value *x, *scale;
    double epsilon;
} rms;

/* v = sqrt(mean(x^2) + epsilon) */
static bool is_root(const skv_pass_env *env, const skive_value *v, rms *out) {
    const skive_node *root = skv_match(env, v, SKV_OP_SQRT),
                     *sum = root ? skv_match(env, root->inputs[0], SKV_OP_ADD) : NULL;
    skive_value *square;
    skv_polynomial c;
    if (!sum || !skv_match_with_scalar(env, sum, &square, &out->epsilon) || out->epsilon < 0) return false;
    const skive_node *average = skv_match(env, square, SKV_OP_REDUCE_MEAN);
    if (!average || !skv_match_last_axis(average) || !skv_match_polynomial(env, average->inputs[0], out->x, NULL, c))
        return false;
    for (int i = 0; i < 4; i++) {
        if (!skv_near(c[i][0], i == 2)) return false;
    }
    return true;
}

static bool is_inverse(const skv_pass_env *env, const skive_value *v, rms *out) {
    const skive_node *n = skv_match(env, v, SKV_OP_RECIPROCAL);
    double one;
    if (n) return is_root(env, n->inputs[0], out);
    n = skv_match(env, v, SKV_OP_DIV);
    return n && skv_match_scalar(env, n->inputs[0], &one) && one == 1 && is_root(env, n->inputs[1], out);
}

static bool is_normal(const skv_pass_env *env, const skive_value *v, rms *out) {
    const skive_node *n = skv_match(env, v, SKV_OP_DIV);
    if (n) {
        out->x = n->inputs[0];
        return is_root(env, n->inputs[1], out);
    }
    n = skv_match(env, v, SKV_OP_MUL);
    for (int i = 0; n && i < 2; i++) {
        out->x = n->inputs[i];
        if (is_inverse(env, n->inputs[1 - i], out)) return true;
    }
    return false;
}

static bool fits_rows(const rms *m) {
    const skive_type *x = &m->x->type, *s = &m->scale->type;
    return x->rank > 0 && s->rank == 1 && s->dims[0].size > 0 && s->dims[0].size == x->dims[x->rank - 1].size &&
           s->dtype == x->dtype;
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    rms m = {0};
    for (int i = 0; skv_node_is(n, SKV_OP_MUL) && i < 2; i++) {
        m.scale = n->inputs[1 - i];
        if (!is_normal(env, n->inputs[i], &m) || !fits_rows(&m)) continue;
        ++*changes;
        return skv_match_replace(g, n->outputs[0], "RMSNormalization", SKV_IN(m.x, m.scale),
                                 SKV_ATTRS(SKV_INT("axis", -1), SKV_FLT("epsilon", m.epsilon)));
    }
    return SKIVE_OK;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_rms_norm = {
    .name = "fuse-rms-norm",
    .brief = "fuses the arithmetic of RMSNormalization into one node (opset 23)",
    .when = SKV_PASS_REQUEST | SKV_PASS_EXECUTE,
    .run = run,
};
