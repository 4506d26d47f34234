/* A convolution or matrix product is fused with what follows it: a bias, a sum with another value of the same shape,
 * and an activation. The fused node computes the tail while its result is still in registers or near. */
#include <math.h>
#include <string.h>

#include "ops/common_pointwise.h"
#include "passes/fuse.h"

static bool is_float_matrix(const skive_value *v, int most) {
    return v && v->type.dtype == SKIVE_F32 && v->type.rank >= 2 && v->type.rank <= most;
}

/* Conv, Gemm or MatMul by one matrix, alone or fused without an activation: more may be fused. */
static bool is_head(const skive_node *n) {
    if (SKV_NODE_IS_ANY(n, SKV_OP_CONV, SKV_OP_GEMM)) return true;
    if (skv_node_is(n, SKV_OP_MAT_MUL))
        return is_float_matrix(skv_node_in(n, 0), SKIVE_MAX_RANK) && is_float_matrix(skv_node_in(n, 1), 2);
    return SKV_NODE_IS_ANY(n, SKV_OP_FUSED_CONV, SKV_OP_FUSED_GEMM, SKV_OP_DEQUANTIZE_GEMM) &&
           skv_attr_string(n, "activation", "")[0] == '\0';
}

/* A head whose result is only used by the next node. */
static skive_node *hidden_head(const skv_pass_env *env, const skive_value *v) {
    if (!v || !v->producer || v->producer_index != 0 || !is_head(v->producer)) return NULL;
    return skv_pass_hidden(env, v) ? v->producer : NULL;
}

enum { BIAS = 2, RESIDUAL = 3, MAX_INPUTS = 6 };

static const char *fused_name(const skive_node *head) {
    if (skv_node_is(head, SKV_OP_DEQUANTIZE_GEMM)) return "DequantizeGemm";
    return SKV_NODE_IS_ANY(head, SKV_OP_CONV, SKV_OP_FUSED_CONV) ? "FusedConv" : "FusedGemm";
}

/* Replaces `head` and `tail` by a fused node, with `added` (if it is not NULL) as its input `slot`. */
static skive_status fuse(skive_graph *g, skive_node *head, skive_node *tail, skive_value *added, size_t slot,
                         const skv_attr_init *extra, size_t n_extra) {
    skive_value *inputs[MAX_INPUTS];
    size_t n_inputs = 0;
    for (size_t i = 0; i < MAX_INPUTS; i++) {
        inputs[i] = i == slot && added ? added : skv_node_in(head, i);
        if (inputs[i]) n_inputs = i + 1;
    }
    const skv_fusion f = {
        .chain = (skive_node *const[]){head, tail},
        .n_chain = 2,
        .op = fused_name(head),
        .domain = SKV_DOMAIN,
        .inputs = inputs,
        .n_inputs = n_inputs,
        .attrs = extra,
        .n_attrs = n_extra,
        .keep_attrs = true,
    };
    return skv_fuse(g, &f);
}

/* One number a column of a result of this type. */
static bool is_row(const skive_value *v, const skive_type *of) {
    const skive_type *t = &v->type;
    return t->dtype == of->dtype && (t->rank == 1 || (t->rank == 2 && t->dims[0].size == 1)) && of->rank >= 2 &&
           t->dims[t->rank - 1].size > 0 && t->dims[t->rank - 1].size == of->dims[of->rank - 1].size;
}

/* The sum of a product without a bias and one number a column. */
static skive_status fuse_bias(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    if (!skv_node_is(n, SKV_OP_ADD) || n->domain[0]) return SKIVE_OK;
    for (int i = 0; i < 2; i++) {
        skive_node *head = hidden_head(env, n->inputs[i]);
        skive_value *other = n->inputs[1 - i];
        if (!head || SKV_NODE_IS_ANY(head, SKV_OP_CONV, SKV_OP_FUSED_CONV)) continue;
        if (skv_node_in(head, BIAS) || skv_node_in(head, RESIDUAL) || skv_attr_float(head, "beta", 1) != 1) continue;
        if (!other || !is_row(other, &n->inputs[i]->type)) continue;
        *done = true;
        return fuse(g, head, n, other, BIAS, NULL, 0);
    }
    return SKIVE_OK;
}

/* The sum of a head's result and another computed value. */
static skive_status fuse_sum(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    if (!skv_node_is(n, SKV_OP_ADD) || n->domain[0]) return SKIVE_OK;
    for (int i = 0; i < 2; i++) {
        skive_node *head = hidden_head(env, n->inputs[i]);
        skive_value *other = n->inputs[1 - i];
        if (!head || skv_node_in(head, 3) || !other || other->storage || other == n->inputs[i]) continue;
        if (!skv_type_same_static(&other->type, &n->inputs[i]->type)) continue;
        *done = true;
        return fuse(g, head, n, other, RESIDUAL, NULL, 0);
    }
    return SKIVE_OK;
}

static skive_status fuse_activation(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    skv_attr_init extra[3];
    size_t n_extra = 0;
    if (n->domain[0] || n->n_inputs < 1) return SKIVE_OK;
    skive_node *head = hidden_head(env, n->inputs[0]);
    if (!head) return SKIVE_OK;
    const skv_pointwise_fn *f = skv_pointwise_at(skv_pointwise_of(n));
    if (!f || !f->fused) return SKIVE_OK;
    double p[2];
    skv_pointwise_params(n, f, p);
    if (skv_node_is(n, SKV_OP_CLIP)) {
        if (!skv_clip_bound(n, 1, -INFINITY, &p[0]) || !skv_clip_bound(n, 2, INFINITY, &p[1])) return SKIVE_OK;
        if (isnan(p[0]) || isnan(p[1])) return SKIVE_OK; /* such a bound has no effect, and instructions differ in it */
    }
    extra[n_extra++] = SKV_STR("activation", f->name);
    if (f->params > 0) extra[n_extra++] = SKV_FLT("activation_alpha", p[0]);
    if (f->params > 1) extra[n_extra++] = SKV_FLT("activation_beta", p[1]);
    *done = true;
    return fuse(g, head, n, NULL, 0, extra, n_extra);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    /* Fused nodes are appended to the list, so that the preceding nodes may match again. */
    for (uint32_t i = 0; i < g->n_nodes;) {
        bool done = false;
        SKV_TRY(fuse_bias(env, g, g->nodes[i], &done));
        if (!done) SKV_TRY(fuse_sum(env, g, g->nodes[i], &done));
        if (!done) SKV_TRY(fuse_activation(env, g, g->nodes[i], &done));
        *changes += done;
        if (!done)
            i++;
        else
            i = i > 1 ? i - 2 : 0;
    }
    return SKIVE_OK;
}

const skv_pass skv_pass_fuse_tail = {
    .name = "fuse-tail",
    .brief = "fuses sums and activations into the convolution or product before them",
    .when = SKV_PASS_EXECUTE | SKV_PASS_TRAINING,
    .run = run,
};
