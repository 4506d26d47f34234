/* LayerNormalization over the last axis written out by exporters: with d = x - mean(x),
 *
 *     d / sqrt(mean(d^2) + epsilon) * scale + bias               (PyTorch, Paddle; also d * (1 / sqrt(..)), or no bias)
 *     x * m + (bias - mean(x) * m),  m = 1 / sqrt(..) * scale    (TensorFlow) */
#include "passes/match.h"

typedef struct norm {
    skive_value *x, *mean, *scale, *bias;
    double epsilon;
} norm;

/* Casts inserted by mixed precision do not matter if x itself is float32. */
static skive_value *behind_cast(const skv_pass_env *env, skive_value *v) {
    const skive_node *cast = skv_match(env, v, SKV_OP_CAST);
    return cast && cast->inputs[0]->type.dtype == SKIVE_F32 && v->type.dtype == SKIVE_F32 ? cast->inputs[0] : v;
}

static bool squared(const skv_pass_env *env, skive_value *v, skive_value **of) {
    const skive_node *n = skv_match(env, v, SKV_OP_POW);
    double exponent;
    if (n) {
        *of = behind_cast(env, n->inputs[0]);
        return skv_match_scalar(env, n->inputs[1], &exponent) && exponent == 2;
    }
    n = skv_match(env, v, SKV_OP_MUL);
    if (!n || n->inputs[0] != n->inputs[1]) return false;
    *of = behind_cast(env, n->inputs[0]);
    return true;
}

/* v = sqrt(mean((x - mean(x))^2) + epsilon), which determines x and the mean. */
static bool deviation(const skv_pass_env *env, skive_value *v, norm *out) {
    const skive_node *root = skv_match(env, v, SKV_OP_SQRT),
                     *sum = root ? skv_match(env, root->inputs[0], SKV_OP_ADD) : NULL;
    skive_value *variance, *d;
    if (!sum || !skv_match_with_scalar(env, sum, &variance, &out->epsilon) || out->epsilon < 0) return false;
    const skive_node *average = skv_match(env, variance, SKV_OP_REDUCE_MEAN);
    if (!average || !skv_match_last_axis(average) || !squared(env, average->inputs[0], &d)) return false;
    const skive_node *sub = skv_match(env, d, SKV_OP_SUB),
                     *mean = sub ? skv_match(env, sub->inputs[1], SKV_OP_REDUCE_MEAN) : NULL;
    if (!mean || !skv_match_last_axis(mean) || mean->inputs[0] != sub->inputs[0]) return false;
    out->x = sub->inputs[0];
    out->mean = sub->inputs[1];
    return out->x != NULL;
}

static bool is_difference(const skv_pass_env *env, skive_value *v, const norm *m) {
    const skive_node *sub = skv_match(env, behind_cast(env, v), SKV_OP_SUB);
    const skive_node *mean = sub ? skv_match(env, sub->inputs[1], SKV_OP_REDUCE_MEAN) : NULL;
    return mean && sub->inputs[0] == m->x && mean->inputs[0] == m->x && skv_match_last_axis(mean);
}

/* v = 1 / deviation */
static bool inverse(const skv_pass_env *env, skive_value *v, norm *out) {
    const skive_node *n = skv_match(env, v, SKV_OP_RECIPROCAL);
    double one;
    if (n) return deviation(env, n->inputs[0], out);
    n = skv_match(env, v, SKV_OP_DIV);
    return n && skv_match_scalar(env, n->inputs[0], &one) && one == 1 && deviation(env, n->inputs[1], out);
}

static bool normal(const skv_pass_env *env, skive_value *v, norm *out) {
    const skive_node *n = skv_match(env, v, SKV_OP_DIV);
    if (n) return deviation(env, n->inputs[1], out) && is_difference(env, n->inputs[0], out);
    n = skv_match(env, v, SKV_OP_MUL);
    for (int i = 0; n && i < 2; i++) {
        if (inverse(env, n->inputs[i], out) && is_difference(env, n->inputs[1 - i], out)) return true;
    }
    return false;
}

/* One number per element of x's last axis. */
static bool fits_rows(const skive_value *v, const skive_value *x) {
    return v && x->type.rank > 0 && v->type.rank == 1 && v->type.dims[0].size > 0 && v->type.dtype == x->type.dtype &&
           v->type.dims[0].size == x->type.dims[x->type.rank - 1].size;
}

static bool scaled(const skv_pass_env *env, const skive_node *mul, norm *out) {
    if (!mul || !skv_node_is(mul, SKV_OP_MUL)) return false;
    for (int i = 0; i < 2; i++) {
        if (!normal(env, behind_cast(env, mul->inputs[i]), out)) continue;
        out->scale = mul->inputs[1 - i];
        out->bias = NULL;
        return fits_rows(out->scale, out->x);
    }
    return false;
}

static bool factor(const skv_pass_env *env, skive_value *v, norm *out) {
    const skive_node *mul = skv_match(env, v, SKV_OP_MUL);
    for (int i = 0; mul && i < 2; i++) {
        if (!inverse(env, mul->inputs[i], out)) continue;
        out->scale = mul->inputs[1 - i];
        return fits_rows(out->scale, out->x);
    }
    return false;
}

static bool folded_form(const skv_pass_env *env, const skive_node *add, norm *out) {
    for (int i = 0; i < 2; i++) {
        const skive_node *mul = skv_match(env, add->inputs[i], SKV_OP_MUL),
                         *sub = skv_match(env, add->inputs[1 - i], SKV_OP_SUB);
        const skive_node *shift = sub ? skv_match(env, sub->inputs[1], SKV_OP_MUL) : NULL;
        for (int k = 0; mul && shift && k < 2; k++) {
            skive_value *m = mul->inputs[k];
            if (!factor(env, m, out) || mul->inputs[1 - k] != out->x) continue;
            out->bias = sub->inputs[0];
            const int other = shift->inputs[0] == m ? 1 : 0;
            return shift->inputs[1 - other] == m && shift->inputs[other] == out->mean && fits_rows(out->bias, out->x);
        }
    }
    return false;
}

static bool with_bias(const skv_pass_env *env, const skive_node *add, norm *out) {
    for (int i = 0; i < 2; i++) {
        if (!scaled(env, skv_match(env, add->inputs[i], SKV_OP_MUL), out)) continue;
        out->bias = add->inputs[1 - i];
        return fits_rows(out->bias, out->x);
    }
    return false;
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    norm m = {0};
    if (skv_node_is(n, SKV_OP_ADD)) {
        if (!with_bias(env, n, &m) && !folded_form(env, n, &m)) return SKIVE_OK;
    } else if (!scaled(env, n, &m)) {
        return SKIVE_OK;
    } else {
        /* The following sum, which comes later in the order, fuses both. */
        const skive_value *y = n->outputs[0];
        const skive_node *next = y->n_uses == 1 ? y->uses[0].node : NULL;
        norm later = {0};
        if (next && skv_node_is(next, SKV_OP_ADD) && next->graph == g && with_bias(env, next, &later)) return SKIVE_OK;
    }
    ++*changes;
    const skv_attr_list attrs = SKV_ATTRS(SKV_INT("axis", -1), SKV_FLT("epsilon", m.epsilon));
    return skv_match_replace(g, n->outputs[0], "LayerNormalization",
                             m.bias ? SKV_IN(m.x, m.scale, m.bias) : SKV_IN(m.x, m.scale), attrs);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_layer_norm = {
    .name = "fuse-layer-norm",
    .brief = "fuses the arithmetic of LayerNormalization into one node",
    .when = SKV_PASS_NEWER | SKV_PASS_EXECUTE,
    .run = run,
};
