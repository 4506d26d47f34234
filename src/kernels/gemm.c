/* Gemm, FusedGemm and MatMul by one matrix, in f32. The bias is written first and the product added to it; residual and
 * activation follow, block by block. Weights that never change are packed ahead of time. */
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
    if (skv_node_is(n->node, SKV_OP_GEMM) && n->in[0].type.rank != 2)
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
    /* Leading dimensions of the first operand are rows like any other. */
    st->m = skv_type_count(a) / st->k;
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

/* ---- beside the product, block by block ---- */

typedef struct gemm_call {
    const gemm_state *st;
    const float *c, *z; /* bias and residual; NULL: none */
} gemm_call;

static void write_bias(const void *user, int64_t i, int64_t j, int64_t rows, int64_t columns, float *y) {
    const gemm_call *call = user;
    const gemm_state *st = call->st;
    const float *c = call->c + i * st->bias_row + j * st->bias_column;
    for (int64_t r = 0; r < rows; r++, c += st->bias_row, y += st->n) {
        const float first = st->beta * c[0];
        for (int64_t k = 0; k < columns; k++) y[k] = st->bias_column ? st->beta * c[k] : first;
    }
}

static void finish(const void *user, int64_t i, int64_t j, int64_t rows, int64_t columns, float *y) {
    const gemm_call *call = user;
    const gemm_state *st = call->st;
    const float *z = call->z ? call->z + i * st->n + j : NULL;
    if (columns == st->n) { /* whole rows are one */
        columns *= rows;
        rows = 1;
    }
    for (int64_t r = 0; r < rows; r++, y += st->n) {
        for (int64_t k = 0; z && k < columns; k++) y[k] += z[k];
        if (z) z += st->n;
        skv_finish_run(&st->finish, y, columns);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const gemm_state *st = c->n->state;
    const gemm_call beside = {
        .st = st, .c = st->has_bias ? c->in[2] : NULL, .z = st->residual ? c->in[st->residual] : NULL};
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
                               .c = c->out[0],
                               .alpha = st->alpha,
                               .add = st->has_bias,
                               .packed = st->packed,
                               .begin = st->has_bias ? write_bias : NULL,
                               .end = beside.z || st->finish.kind != SKV_PW_NONE ? finish : NULL,
                               .user = &beside};
    skv_sgemm_run(&product, c->n->threads, c->scratch);
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
