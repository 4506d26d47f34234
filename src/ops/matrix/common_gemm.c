/* Shared by Gemm and FusedGemm; see common_gemm.h. */
#include "ops/matrix/common_gemm.h"

static bool trans(const skive_node *n, size_t i) { return skv_attr_int(n, i ? "transB" : "transA", 0) != 0; }

skive_status skv_infer_gemm_bias(skv_infer *c, int64_t m, int64_t n) {
    if (!skv_in_ranked(c, 2)) return SKIVE_OK;
    SKV_TRY(skv_want_rank(c, 2, 0, 2));
    int rank = c->in[2]->rank;
    for (int a = 0; a < rank; a++) {
        int64_t have = skv_in_dim(c, 2, a), want = a == rank - 1 ? n : m;
        if (have >= 0 && have != 1 && want >= 0 && have != want)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: C has size %lld, but the product has %lld", c->node->op_type,
                                  (long long)have, (long long)want);
    }
    return SKIVE_OK;
}

/* Rows of A may lie along several axes in FusedGemm, which stands for MatMul too. */
static bool many_axes(const skive_node *n) { return skv_node_is(n, SKV_OP_FUSED_GEMM) && !trans(n, 0); }

skive_status skv_infer_gemm(skv_infer *c) {
    for (size_t i = 0; i < 2; i++) {
        const skive_type *t = skv_in_type(c, i);
        bool wide = t && (t->dtype == SKIVE_I32 || t->dtype == SKIVE_I64);
        if (!wide) SKV_TRY(skv_want_float(c, i));
        SKV_TRY(skv_want_rank(c, i, 2, i == 0 && many_axes(c->node) ? SKIVE_MAX_RANK : 2));
    }
    for (size_t i = 1; i < c->n_in; i++) SKV_TRY(skv_want_same_dtype(c, 0, i));
    bool ta = trans(c->node, 0), tb = trans(c->node, 1);
    const int last = skv_in_ranked(c, 0) ? c->in[0]->rank - 1 : 1;
    int64_t k_a = skv_in_dim(c, 0, ta ? 0 : last), k_b = skv_in_dim(c, 1, tb ? 1 : 0);
    if (k_a >= 0 && k_b >= 0 && k_a != k_b)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: the inner dimension of A is %lld, but that of B is %lld",
                              c->node->op_type, (long long)k_a, (long long)k_b);
    skive_type *y = &c->out[0];
    y->dtype = c->in[0] ? c->in[0]->dtype : SKIVE_DTYPE_NONE;
    if (!skv_in_ranked(c, 0) && many_axes(c->node)) return SKIVE_OK; /* of any rank */
    y->rank = last + 1;
    for (int d = 0; d < last; d++) y->dims[d] = skv_in_ranked(c, 0) ? c->in[0]->dims[ta ? 1 : d] : skv_dim_of(-1);
    y->dims[last] = skv_in_ranked(c, 1) ? c->in[1]->dims[tb ? 0 : 1] : skv_dim_of(-1);
    return skv_infer_gemm_bias(c, last == 1 ? y->dims[0].size : 1, y->dims[last].size);
}

skive_status skv_gemm_run(const skv_eval *c, skv_result *y) {
    const skive_tensor *ta = c->in[0], *tb = c->in[1], *tc = c->n_in > 2 ? c->in[2] : NULL;
    bool at = trans(c->node, 0), bt = trans(c->node, 1);
    int64_t m = 1, k = tb->dims[bt ? 1 : 0], n = tb->dims[bt ? 0 : 1];
    for (int d = 0; d < ta->rank - 1; d++) m *= ta->dims[at ? 1 : d];
    double alpha = skv_attr_float(c->node, "alpha", 1.0), beta = skv_attr_float(c->node, "beta", 1.0);
    skv_doubles a = {0}, b = {0}, bias = {0};
    skive_status status;
    SKV_GO(status, out, skv_doubles_read(c->ctx, ta, &a));
    SKV_GO(status, out, skv_doubles_read(c->ctx, tb, &b));
    SKV_GO(status, out, skv_doubles_read(c->ctx, tc, &bias));
    skv_gemm_f64(skv_threads(c->ctx), at, bt, m, n, k, a.p, b.p, y->p);
    if (alpha != 1.0)
        for (size_t i = 0; i < y->n; i++) y->p[i] *= alpha;
    if (tc && bias.p && beta != 0.0) {
        int64_t row = tc->rank == 2 && tc->dims[0] != 1 ? tc->dims[1] : 0;
        int64_t column = tc->rank > 0 && tc->dims[tc->rank - 1] != 1 ? 1 : 0;
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) y->p[i * n + j] += beta * bias.p[i * row + j * column];
    }
out:
    skv_doubles_free(c->ctx, &a);
    skv_doubles_free(c->ctx, &b);
    skv_doubles_free(c->ctx, &bias);
    return status;
}

void skv_gemm_cost(const skive_node *n, skive_cost *cost) {
    if (n->n_outputs < 1 || !n->outputs[0]) return;
    int64_t k = skv_dim_or_1(skv_node_in(n, 1), trans(n, 1) ? 1 : 0);
    cost->macs = skv_add_sat(cost->macs, skv_mul_sat(k, skv_type_count(&n->outputs[0]->type)));
    if (skv_node_in(n, 2)) skv_cost_per_element(n, cost);
}
