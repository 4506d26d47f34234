/* Gemm, FusedGemm and MatMul by one matrix, in f32. The bias is written first and the product added to it; an
 * activation follows. Weights that never change are packed ahead of time. */
#include <string.h>

#include "kernels/finish.h"
#include "kernels/kernel.h"
#include "kernels/sgemm.h"

typedef struct gemm_state {
    int64_t m, n, k;
    bool trans_a, trans_b;
    float alpha, beta;
    skv_finish finish;
    int64_t bias_row, bias_column; /* steps of C: 0 where it is broadcast */
    bool has_bias;
    size_t residual; /* index of input Z, 0: none */
    float *packed;   /* the second operand; NULL: as it is at each run */
} gemm_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i]))
            return skv_decline(why, "input %zu is not float32, or empty", i);
    }
    if (n->in[0].type.rank < 2 || n->in[1].type.rank != 2) return skv_decline(why, "not a product of two matrices");
    if (!skv_node_is(n->node, SKV_OP_MAT_MUL) && n->in[0].type.rank != 2)
        return skv_decline(why, "not a product of two matrices");
    if (!skv_kernel_f32(&n->out[0])) return skv_decline(why, "empty output");
    return true;
}

static skive_status fill_state(skv_kernel_node *n, gemm_state *st) {
    const bool plain_product = skv_node_is(n->node, SKV_OP_MAT_MUL);
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
    SKV_TRY(skv_finish_read(n, &st->finish));
    st->has_bias = skv_kernel_has_input(n, 2) && st->beta != 0;
    if (st->has_bias) {
        const skive_type *c = &n->in[2].type;
        const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1].size : 1,
                      rows = c->rank > 1 ? c->dims[c->rank - 2].size : 1;
        st->bias_column = columns > 1 ? 1 : 0;
        st->bias_row = rows > 1 ? columns : 0;
    }
    st->residual = skv_kernel_has_input(n, 3) ? 3 : 0;
    size_t scratch;
    SKV_TRY(skv_scratch_add(n, skv_sgemm_scratch(st->n, st->k, n->threads), &scratch));
    if (!n->in[1].constant || n->training) return SKIVE_OK;
    n->state_bytes = skv_sgemm_packed(st->n, st->k) * sizeof(float);
    SKV_TRY(skv_arena_alloc(n->weights, n->state_bytes, &st->packed));
    skv_sgemm_pack(st->trans_b, st->n, st->k, n->in[1].constant->data, st->trans_b ? st->k : st->n, st->packed);
    n->packs_input[1] = true;
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    gemm_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    const skive_status status = fill_state(n, st);
    if (status == SKIVE_OK)
        n->state = st;
    else
        skv_free(n->ctx, st);
    return status;
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
    skv_finish_run(&st->finish, y, count);
}

static skive_status run(const skv_kernel_call *c) {
    const gemm_state *st = c->n->state;
    float *y = c->out[0];
    if (st->has_bias) write_bias(st, c->in[2], y);
    const skv_sgemm product = {.trans_a = st->trans_a,
                               .trans_b = st->trans_b,
                               .m = st->m,
                               .n = st->n,
                               .k = st->k,
                               .a = c->in[0],
                               .b = c->in[1],
                               .lda = st->trans_a ? st->m : st->k,
                               .ldb = st->trans_b ? st->k : st->n,
                               .ldc = st->n,
                               .c = y,
                               .alpha = st->alpha,
                               .add = st->has_bias,
                               .packed = st->packed};
    skv_sgemm_run(&product, c->n->threads, c->scratch);
    finish(st, st->residual ? c->in[st->residual] : NULL, y);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_GEMM, SKV_OP_FUSED_GEMM, SKV_OP_MAT_MUL, SKV_OP_NONE};

const skv_kernel skv_kernel_gemm_f32 = {
    .name = "gemm_f32",
    .brief = "matrix product with bias and activation",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
