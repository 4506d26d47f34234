/* MatMulInteger with constant B, and with the product to float32 behind it. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/int8/matrix.h"
#include "ops/quant/common_mat_mul_integer.h"

typedef struct integer_state {
    skv_q8_matrix b;
    int64_t rows;
    bool a_signed, to_float;
} integer_state;

static const skv_kernel_value *input(const skv_kernel_node *n, size_t i) {
    return skv_kernel_has_input(n, i) ? &n->in[i] : NULL;
}

static bool one_or(const skive_type *t, int64_t n) {
    const int64_t count = skv_type_count(t);
    return count == 1 || count == n;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skv_kernel_value *a_zero = input(n, SKV_MMI_A_ZERO), *b_zero = input(n, SKV_MMI_B_ZERO),
                           *scale = input(n, SKV_MMI_SCALE), *b = &n->in[SKV_MMI_B];
    if (!b->constant || !b->constant->data) return skv_decline(why, "B is not constant");
    if (b->type.rank != 2 || n->in[SKV_MMI_A].type.rank < 2) return skv_decline(why, "B is not a matrix");
    if (b_zero && !b_zero->constant) return skv_decline(why, "the zero point of B is not constant");
    if (a_zero && skv_type_count(&a_zero->type) != 1) return skv_decline(why, "one zero point per row");
    if (scale && (scale->type.dtype != SKIVE_F32 || !one_or(&scale->type, b->type.dims[1].size)))
        return skv_decline(why, "a scale that is not float32, or neither one nor one per column");
    if (skv_type_count(&n->out[0].type) == 0 || b->type.dims[0].size == 0) return skv_decline(why, "empty");
    if (b->type.dims[0].size > SKV_Q8_MATRIX_LONGEST)
        return skv_decline(why, "rows so long that sums in plain C would overflow");
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    integer_state *st = state;
    if (st) skv_q8_matrix_free(ctx, &st->b);
    skv_free(ctx, st);
}

static skive_status prepare(skv_kernel_node *n) {
    const skv_kernel_value *b = &n->in[SKV_MMI_B], *zero = input(n, SKV_MMI_B_ZERO);
    integer_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->a_signed = n->in[SKV_MMI_A].type.dtype == SKIVE_I8;
    st->to_float = input(n, SKV_MMI_SCALE) != NULL;
    const int64_t k = b->type.dims[0].size;
    st->rows = skv_type_count(&n->in[SKV_MMI_A].type) / k;
    const skive_status status =
        skv_q8_matrix_make(n->ctx, b->constant->data, b->type.dtype == SKIVE_I8, st->rows, k, b->type.dims[1].size,
                           zero ? zero->constant : NULL, 0, zero ? skive_tensor_count(zero->constant) : 0, &st->b);
    if (status != SKIVE_OK) {
        destroy(n->ctx, st);
        return status;
    }
    n->state = st;
    n->state_bytes = st->b.panels * st->b.panel_bytes;
    n->packs_input[SKV_MMI_B] = true;
    n->scratch_bytes = (size_t)n->threads * skv_q8_matrix_scratch(&st->b);
    return SKIVE_OK;
}

static void run_block(const integer_state *st, const skv_kernel_call *c, int64_t from, size_t n, size_t panel,
                      size_t panel_end, int32_t zero, char *scratch) {
    const float *scale = st->to_float ? c->in[SKV_MMI_SCALE] : NULL;
    const int64_t scale_step = scale && skv_type_count(&c->n->in[SKV_MMI_SCALE].type) > 1 ? 1 : 0;
    int32_t sums[SKV_Q8_MATRIX_ROWS * SKV_Q8_MATRIX_COLUMNS];
    skv_q8_rows rows;
    skv_q8_matrix_rows(&st->b, (const uint8_t *)c->in[SKV_MMI_A] + from * st->b.k, n, st->a_signed, &zero, 0, scratch,
                       &rows);
    for (; panel < panel_end; panel++) {
        const size_t columns = skv_q8_matrix_panel(&st->b, &rows, panel, sums);
        const int64_t first = (int64_t)(panel * st->b.gemm->nr);
        for (size_t r = 0; r < n; r++) {
            const int32_t *row = sums + r * SKV_Q8_MATRIX_COLUMNS;
            char *y = (char *)c->out[0] + (size_t)((from + (int64_t)r) * st->b.n + first) * 4;
            if (scale) {
                for (size_t k = 0; k < columns; k++)
                    ((float *)(void *)y)[k] = (float)row[k] * scale[(first + (int64_t)k) * scale_step];
            } else {
                memcpy(y, row, columns * sizeof *row);
            }
        }
    }
}

static skive_status run(const skv_kernel_call *c) {
    const integer_state *st = c->n->state;
    const int threads = c->n->threads;
    const void *a_zero = c->n->n_in > SKV_MMI_A_ZERO ? c->in[SKV_MMI_A_ZERO] : NULL;
    const int32_t zero = !a_zero ? 0 : st->a_signed ? *(const int8_t *)a_zero : *(const uint8_t *)a_zero;
    const int64_t mr = (int64_t)st->b.gemm->mr, blocks = (st->rows + mr - 1) / mr;
    /* With few blocks of rows the panels are shared out too. */
    int64_t chunks = blocks >= 2 * threads ? 1 : threads;
    if (chunks > (int64_t)st->b.panels) chunks = (int64_t)st->b.panels;
    const size_t per_thread = skv_q8_matrix_scratch(&st->b);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < blocks * chunks; i++) {
        const int64_t from = i / chunks * mr, rows = st->rows - from < mr ? st->rows - from : mr, chunk = i % chunks;
        run_block(st, c, from, (size_t)rows, st->b.panels * (size_t)chunk / (size_t)chunks,
                  st->b.panels * (size_t)(chunk + 1) / (size_t)chunks, zero,
                  (char *)c->scratch + (size_t)skv_thread_number() * per_thread);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_MAT_MUL_INTEGER, SKV_OP_MAT_MUL_INTEGER_TO_FLOAT, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_integer = {
    .name = "matmul_integer",
    .brief = "integer product with zero points known only at run time",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
