/* Attention written out by exporters: MatMul(Softmax(mask(scale MatMul(Q, K'))), V), with the scale before or after the
 * product or in parts on both sides, and the mask added or selected by Where. [batch][head][position][size] is an
 * attention with heads; with 3 dimensions the first one combines batch and heads, and each of its entries is an
 * attention of one head.
 *
 * A query whose keys are all masked with -inf by Where gives NaN in the written-out form, and 0 in the fused one. */
#include <math.h>

#include "passes/match.h"

typedef struct attention {
    skive_value *q, *turned_k, *v, *mask; /* K as used by the product, transposed */
    bool mask_hides;                      /* the mask is true where a key is masked */
    double scale;
} attention;

/* Strips products with constants from `v`. */
static skive_value *unscaled(const skv_pass_env *env, skive_value *v, double *scale) {
    for (;;) {
        const skive_node *n = skv_match(env, v, SKV_OP_MUL);
        skive_value *other;
        double by;
        if (n && skv_match_with_scalar(env, n, &other, &by) && other->type.rank == v->type.rank) {
            *scale *= by;
            v = other;
            continue;
        }
        n = skv_match(env, v, SKV_OP_DIV);
        if (!n || !skv_match_scalar(env, n->inputs[1], &by) || by == 0 || n->inputs[0]->type.rank != v->type.rank)
            return v;
        *scale /= by;
        v = n->inputs[0];
    }
}

/* Does the mask broadcast to the scores, also by the rules of Attention? */
static bool fits_mask(const skive_value *mask, const skive_value *scores) {
    const skive_type *m = &mask->type, *s = &scores->type;
    if (m->rank < 1 || m->rank > s->rank || (s->rank == 3 && m->rank > 2)) return false;
    for (int own = m->rank - 1, axis = s->rank - 1; own >= 0; own--, axis--) {
        if (m->dims[own].size != 1 && m->dims[own].size != s->dims[axis].size) return false;
        if (m->dims[own].size < 1) return false;
    }
    return true;
}

static bool is_scores(const skv_pass_env *env, skive_value *v) {
    double ignored = 1;
    return skv_match(env, unscaled(env, v, &ignored), SKV_OP_MAT_MUL) != NULL;
}

static skive_value *unmasked(const skv_pass_env *env, skive_value *v, attention *out) {
    const skive_node *n = skv_match(env, v, SKV_OP_ADD);
    for (int i = 0; n && i < 2; i++) {
        skive_value *mask = n->inputs[1 - i];
        if (!is_scores(env, n->inputs[i]) || !fits_mask(mask, v) || mask->type.dtype != SKIVE_F32) continue;
        out->mask = mask;
        return n->inputs[i];
    }
    n = skv_match(env, v, SKV_OP_WHERE);
    for (int i = 1; n && i < 3; i++) {
        double hidden;
        if (!is_scores(env, n->inputs[i]) || !fits_mask(n->inputs[0], v)) continue;
        if (!skv_match_scalar(env, n->inputs[3 - i], &hidden) || hidden != -INFINITY) continue;
        out->mask = n->inputs[0];
        out->mask_hides = i == 2;
        return n->inputs[i];
    }
    return v;
}

static bool is_attention(const skv_pass_env *env, const skive_node *n, attention *out) {
    if (!skv_node_is(n, SKV_OP_MAT_MUL)) return false;
    const skive_node *softmax = skv_match(env, n->inputs[0], SKV_OP_SOFTMAX);
    const int rank = n->outputs[0]->type.rank;
    if (!softmax || (rank != 3 && rank != 4) || n->outputs[0]->type.dtype != SKIVE_F32) return false;
    const int64_t axis = skv_attr_int(softmax, "axis", -1);
    if (axis != -1 && axis != rank - 1) return false;
    out->scale = 1;
    skive_value *scores = unscaled(env, unmasked(env, softmax->inputs[0], out), &out->scale);
    const skive_node *product = skv_match(env, scores, SKV_OP_MAT_MUL);
    if (!product) return false;
    out->q = unscaled(env, product->inputs[0], &out->scale);
    out->turned_k = unscaled(env, product->inputs[1], &out->scale);
    out->v = n->inputs[1];
    const skive_type *q = &out->q->type, *k = &out->turned_k->type, *v = &out->v->type;
    if (q->rank != rank || k->rank != rank || v->rank != rank) return false;
    for (int a = 0; a < rank - 2; a++) { /* MatMul would broadcast, Attention does not */
        if (q->dims[a].size < 1 || q->dims[a].size != k->dims[a].size || q->dims[a].size != v->dims[a].size)
            return false;
    }
    return true;
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    static const int64_t swap3[] = {0, 2, 1}, swap4[] = {0, 1, 3, 2};
    attention m = {0};
    if (!is_attention(env, n, &m)) return SKIVE_OK;
    const bool apart = n->outputs[0]->type.rank == 4;
    skv_builder b = skv_build(g);
    skive_value *k = skv_emit(&b, "Transpose", SKV_IN(m.turned_k),
                              SKV_ATTRS(SKV_INTS("perm", apart ? swap4 : swap3, apart ? 4 : 3)));
    if (m.mask_hides) m.mask = skv_emit(&b, "Not", SKV_IN(m.mask), SKV_NONE);
    SKV_TRY(b.status);
    const skv_attr_init attrs[] = {SKV_FLT("scale", m.scale), SKV_INT("q_num_heads", 1), SKV_INT("kv_num_heads", 1)};
    ++*changes;
    return skv_match_replace(g, n->outputs[0], "Attention", m.mask ? SKV_IN(m.q, k, m.v, m.mask) : SKV_IN(m.q, k, m.v),
                             (skv_attr_list){attrs, apart ? 1 : 3});
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_attention = {
    .name = "fuse-attention",
    .brief = "fuses matrix products and Softmax into Attention (opset 23)",
    .when = SKV_PASS_REQUEST | SKV_PASS_EXECUTE,
    .run = run,
};
