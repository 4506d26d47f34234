/* Gemm, FusedGemm and two-dimensional MatMul in f32 by oneDNN's matrix product. The bias is written first and the product
 * added to it; an activation follows row by row while the row is warm. */
#include <omp.h>
#include <string.h>

#include "kernels/onednn/onednn.h"
#include "ops/common_activation.h"

typedef struct gemm_state {
    int64_t m, n, k;
    bool trans_a, trans_b;
    float alpha, beta;
    skv_activation act;
    int64_t bias_row, bias_column; /* steps of C: 0 where it is broadcast */
    bool has_bias;
    size_t residual; /* index of input Z, 0: none */
} gemm_state;

static bool has_input(const skv_kernel_node *n, size_t i) { return i < n->n_in && !n->in[i].absent; }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_dnnl_engine()) return skv_decline(why, "oneDNN gives no engine");
    for (size_t i = 0; i < n->n_in; i++) {
        if (!n->in[i].absent && !skv_dnnl_f32(&n->in[i]))
            return skv_decline(why, "input %zu is not float32, or empty", i);
    }
    if (n->in[0].type.rank < 2 || n->in[1].type.rank != 2) return skv_decline(why, "not a product of two matrices");
    if (!skv_node_is(n->node, "MatMul") && n->in[0].type.rank != 2)
        return skv_decline(why, "not a product of two matrices");
    if (!skv_dnnl_f32(&n->out[0])) return skv_decline(why, "empty output");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    gemm_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    const bool plain_product = skv_node_is(n->node, "MatMul");
    const skive_type *a = &n->in[0].type, *b = &n->in[1].type;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->trans_a = !plain_product && skv_attr_int(n->node, "transA", 0) != 0;
    st->trans_b = !plain_product && skv_attr_int(n->node, "transB", 0) != 0;
    st->alpha = plain_product ? 1.0f : (float)skv_attr_float(n->node, "alpha", 1);
    st->beta = plain_product ? 0.0f : (float)skv_attr_float(n->node, "beta", 1);
    st->n = b->dims[st->trans_b ? 0 : 1].size;
    st->k = b->dims[st->trans_b ? 1 : 0].size;
    st->m = 1;
    /* Leading dimensions of a MatMul's first operand are rows like any other. */
    for (int d = 0; d < a->rank - (plain_product ? 1 : 0); d++) st->m *= a->dims[d].size;
    if (!plain_product) st->m = a->dims[st->trans_a ? 1 : 0].size;
    if (n->node->domain[0]) SKV_TRY(skv_activation_read(n->ctx, n->node, &st->act));
    st->has_bias = has_input(n, 2) && st->beta != 0;
    if (st->has_bias) {
        const skive_type *c = &n->in[2].type;
        const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1].size : 1,
                      rows = c->rank > 1 ? c->dims[c->rank - 2].size : 1;
        st->bias_column = columns > 1 ? 1 : 0;
        st->bias_row = rows > 1 ? columns : 0;
    }
    st->residual = has_input(n, 3) ? 3 : 0;
    return SKIVE_OK;
}

static void write_bias(const gemm_state *st, const float *c, float *y) {
    for (int64_t i = 0; i < st->m; i++) {
        const float *row = c + i * st->bias_row;
        for (int64_t j = 0; j < st->n; j++) y[i * st->n + j] = st->beta * row[j * st->bias_column];
    }
}

static void finish(const gemm_state *st, const float *z, float *y) {
    const int64_t count = st->m * st->n;
    for (int64_t i = 0; z && i < count; i++) y[i] += z[i];
    if (st->act.kind == SKV_ACT_RELU) {
        for (int64_t i = 0; i < count; i++) y[i] = y[i] > 0 ? y[i] : 0.0f;
    } else if (st->act.kind != SKV_ACT_NONE) {
        for (int64_t i = 0; i < count; i++) y[i] = (float)skv_activation_apply(&st->act, (double)y[i]);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const gemm_state *st = c->n->state;
    float *y = c->out[0];
    if (st->has_bias) write_bias(st, c->in[2], y);
    const int before = omp_get_max_threads();
    omp_set_num_threads(c->n->threads);
    const dnnl_status_t s = dnnl_sgemm(st->trans_a ? 'T' : 'N', st->trans_b ? 'T' : 'N', st->m, st->n, st->k, st->alpha,
                                       c->in[0], st->trans_a ? st->m : st->k, c->in[1], st->trans_b ? st->k : st->n,
                                       st->has_bias ? 1.0f : 0.0f, y, st->n);
    omp_set_num_threads(before);
    SKV_TRY(skv_dnnl_status(c->ctx, s, "matrix product"));
    finish(st, st->residual ? c->in[st->residual] : NULL, y);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const char *const ops[] = {"Gemm", "FusedGemm", "MatMul", NULL};

const skv_kernel skv_kernel_gemm_f32_onednn = {
    .name = "gemm_f32_onednn",
    .brief = "matrix product with bias and activation",
    .ops = ops,
    .isa = SKV_ISA_AVX2,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
