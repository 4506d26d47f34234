/* MatMulInteger with constant B, and with the product to float32 behind it, by the tiles of the other integer kernels. Zero points come at run
 * time:
 *
 *     sum of (a - za) (b - zb) = sum of a b - za * sum of b - zb * (sum of a - k za)
 *
 * B stands in panels as int8 (uint8 less 128, its zero point too), the sums of its columns beside it; int8 rows of A are read as uint8 with a zero
 * point 128 higher. Sums wrap as int32. */
#include <omp.h>

#include "kernels/int8/int8.h"
#include "ops/common_mat_mul_integer.h"

typedef struct integer_state {
    const skv_q8_gemm *gemm;
    int64_t rows, k, n;
    size_t groups, panels, panel_bytes, row_bytes;
    bool a_signed, to_float;
    char *b;
    int32_t *column_sum, *b_zero; /* [n]; b_zero NULL: all are 0 */
} integer_state;

static const skv_q8_gemm *gemm_of(skv_isa isa) {
#if defined(__x86_64__)
    if (isa >= SKV_ISA_AVX512_VNNI) return skv_q8_gemm_vnni();
    if (isa >= SKV_ISA_AVX512) return skv_q8_gemm_avx512();
    if (isa >= SKV_ISA_AVX2) return skv_q8_gemm_avx2();
#endif
    (void)isa;
    return skv_q8_gemm_scalar();
}

static const skv_kernel_value *input(const skv_kernel_node *n, size_t i) {
    return i < n->n_in && !n->in[i].absent ? &n->in[i] : NULL;
}

static bool one_or(const skive_type *t, int64_t n) {
    const int64_t count = skv_type_count(t);
    return count == 1 || count == n;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skv_kernel_value *a_zero = input(n, SKV_MMI_A_ZERO), *b_zero = input(n, SKV_MMI_B_ZERO),
                           *scale = input(n, SKV_MMI_SCALE), *b = &n->in[SKV_MMI_B];
    if (!b->constant || !b->constant->data) return skv_decline(why, "B is not constant");
    if (b->type.rank != 2 || n->in[SKV_MMI_A].type.rank < 2) return skv_decline(why, "B is no matrix");
    if (b_zero && !b_zero->constant) return skv_decline(why, "the zero point of B is not constant");
    if (a_zero && skv_type_count(&a_zero->type) != 1) return skv_decline(why, "a zero point a row");
    if (scale && (scale->type.dtype != SKIVE_F32 || !one_or(&scale->type, b->type.dims[1].size)))
        return skv_decline(why, "a scale that is not float32, one or one a column");
    if (skv_type_count(&n->out[0].type) == 0 || b->type.dims[0].size == 0) return skv_decline(why, "empty");
    if (b->type.dims[0].size > 32768) return skv_decline(why, "rows so long that sums in plain C would overflow");
    return true;
}

static int centred(const skive_tensor *b, int64_t at) {
    return b->dtype == SKIVE_I8 ? ((const int8_t *)b->data)[at] : ((const uint8_t *)b->data)[at] - 128;
}

static skive_status pack_zero(skv_kernel_node *n, integer_state *st) {
    const skv_kernel_value *zero = input(n, SKV_MMI_B_ZERO);
    const bool shifted = n->in[SKV_MMI_B].type.dtype == SKIVE_U8;
    bool any = false;
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)st->n, sizeof *st->b_zero, &st->b_zero));
    for (int64_t j = 0; j < st->n; j++) {
        const int64_t at = zero && skive_tensor_count(zero->constant) > 1 ? j : 0;
        st->b_zero[j] = (zero ? (int32_t)skive_tensor_get(zero->constant, at) : 0) - (shifted ? 128 : 0);
        any = any || st->b_zero[j];
    }
    if (any) return SKIVE_OK;
    skv_free(n->ctx, st->b_zero);
    st->b_zero = NULL;
    return SKIVE_OK;
}

static void pack(const skive_tensor *b, integer_state *st) {
    const size_t nr = st->gemm->nr, step = st->gemm->k_group;
    for (size_t panel = 0; panel < st->panels; panel++) {
        char *to = st->b + panel * st->panel_bytes;
        for (size_t p = 0; p < nr; p++) {
            const int64_t j = (int64_t)(panel * nr + skv_q8_column(p, nr));
            if (j >= st->n) continue; /* stays zero */
            for (int64_t k = 0; k < st->k; k++) {
                const int v = centred(b, k * st->n + j);
                const size_t at = (size_t)k / step * nr * step + p * step + (size_t)k % step;
                st->column_sum[j] += v;
                if (st->gemm->wide)
                    ((int16_t *)(void *)to)[at] = (int16_t)v;
                else
                    ((int8_t *)to)[at] = (int8_t)v;
            }
        }
    }
}

static void destroy(skive_context *ctx, void *state) {
    integer_state *st = state;
    if (!st) return;
    skv_free(ctx, st->b);
    skv_free(ctx, st->column_sum);
    skv_free(ctx, st->b_zero);
    skv_free(ctx, st);
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *b = &n->in[SKV_MMI_B].type;
    integer_state *st = NULL;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->gemm = gemm_of(skv_cpu_isa());
    st->k = b->dims[0].size;
    st->n = b->dims[1].size;
    st->rows = skv_type_count(&n->in[SKV_MMI_A].type) / st->k;
    st->a_signed = n->in[SKV_MMI_A].type.dtype == SKIVE_I8;
    st->to_float = input(n, SKV_MMI_SCALE) != NULL;
    st->groups = ((size_t)st->k + st->gemm->k_group - 1) / st->gemm->k_group;
    st->panels = ((size_t)st->n + st->gemm->nr - 1) / st->gemm->nr;
    st->row_bytes = st->groups * st->gemm->k_group * (st->gemm->wide ? 2 : 1);
    st->panel_bytes = st->row_bytes * st->gemm->nr;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, st->panels, st->panel_bytes, &st->b));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, (size_t)st->n, sizeof *st->column_sum, &st->column_sum));
    SKV_GO(status, fail, pack_zero(n, st));
    pack(n->in[SKV_MMI_B].constant, st);
    n->state = st;
    n->state_bytes = st->panels * st->panel_bytes;
    n->packs_input[SKV_MMI_B] = true;
    /* of each thread: gathered rows, and one row as uint8 */
    n->scratch_bytes = (size_t)n->threads * skv_align_up(st->gemm->mr * st->row_bytes + (size_t)st->k, 64);
    return SKIVE_OK;
fail:
    destroy(n->ctx, st);
    return status;
}

/* A block of rows: `a` points to their numbers as tiles want them; sums[r] to the sum of row r, less k times the zero point. */
static void gather(const integer_state *st, const uint8_t *x, size_t rows, int32_t zero, char *scratch, const void **a,
                   int32_t *sums) {
    uint8_t *flipped = (uint8_t *)scratch + st->gemm->mr * st->row_bytes;
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *row = x + r * (size_t)st->k;
        char *to = scratch + r * st->row_bytes;
        if (st->a_signed) {
            for (int64_t k = 0; k < st->k; k++) flipped[k] = row[k] ^ 128;
            row = flipped;
        }
        sums[r] = 0;
        if (st->b_zero) {
            for (int64_t k = 0; k < st->k; k++) sums[r] += row[k];
            sums[r] -= (int32_t)st->k * zero;
        }
        if (!st->gemm->wide && !st->a_signed && (size_t)st->k == st->row_bytes) {
            a[r] = row;
            continue;
        }
        st->gemm->copy(to, 0, row, (size_t)st->k, 0);
        const size_t used = (size_t)st->k * (st->gemm->wide ? 2 : 1);
        memset(to + used, 0, st->row_bytes - used);
        a[r] = to;
    }
}

enum { MOST_ROWS = 16, MOST_COLUMNS = 32 };

static void finish(const integer_state *st, const int32_t *raw, size_t rows, size_t columns, int64_t first,
                   int32_t zero, const int32_t *row_sum, const float *scale, int64_t scale_step, char *y) {
    for (size_t r = 0; r < rows; r++) {
        uint32_t sum[MOST_COLUMNS]; /* wraps */
        for (size_t c = 0; c < columns; c++)
            sum[c] =
                (uint32_t)raw[r * MOST_COLUMNS + c] - (uint32_t)zero * (uint32_t)st->column_sum[first + (int64_t)c];
        for (size_t c = 0; st->b_zero && c < columns; c++)
            sum[c] -= (uint32_t)st->b_zero[first + (int64_t)c] * (uint32_t)row_sum[r];
        char *to = y + r * (size_t)st->n * 4;
        if (st->to_float) {
            for (size_t c = 0; c < columns; c++)
                ((float *)(void *)to)[c] = (float)(int32_t)sum[c] * scale[(first + (int64_t)c) * scale_step];
        } else {
            memcpy(to, sum, columns * sizeof *sum);
        }
    }
}

static void run_block(const integer_state *st, const skv_kernel_call *c, int64_t from, size_t rows, size_t panel,
                      size_t panel_end, int32_t zero, char *scratch) {
    static const int32_t nothing[MOST_COLUMNS];
    const skv_q8_out out = {.sums = true};
    const float *scale = st->to_float ? c->in[SKV_MMI_SCALE] : NULL;
    const int64_t scale_step = scale && skv_type_count(&c->n->in[SKV_MMI_SCALE].type) > 1 ? 1 : 0;
    const void *a[MOST_ROWS];
    int32_t sums[MOST_ROWS], raw[MOST_ROWS * MOST_COLUMNS];
    gather(st, (const uint8_t *)c->in[SKV_MMI_A] + from * st->k, rows, zero, scratch, a, sums);
    skv_q8_tile tile = {.rows = rows,
                        .taps = 1,
                        .groups = st->groups,
                        .a = a,
                        .init = nothing,
                        .multiplier = NULL,
                        .y = raw,
                        .y_stride = MOST_COLUMNS * sizeof *raw,
                        .out = &out};
    for (; panel < panel_end; panel++) {
        const int64_t first = (int64_t)(panel * st->gemm->nr), left = st->n - first;
        tile.columns = left < (int64_t)st->gemm->nr ? (size_t)left : st->gemm->nr;
        tile.b = st->b + panel * st->panel_bytes;
        st->gemm->tile(&tile);
        finish(st, raw, rows, tile.columns, first, zero, sums, scale, scale_step,
               (char *)c->out[0] + (size_t)(from * st->n + first) * 4);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const integer_state *st = c->n->state;
    const int threads = c->n->threads;
    const void *a_zero = c->n->n_in > SKV_MMI_A_ZERO ? c->in[SKV_MMI_A_ZERO] : NULL;
    const int32_t given = !a_zero ? 0 : st->a_signed ? *(const int8_t *)a_zero : *(const uint8_t *)a_zero;
    const int32_t zero = given + (st->a_signed ? 128 : 0);
    const int64_t mr = (int64_t)st->gemm->mr, blocks = (st->rows + mr - 1) / mr;
    /* With few blocks of rows the panels are shared out too. */
    int64_t chunks = blocks >= 2 * threads ? 1 : threads;
    if (chunks > (int64_t)st->panels) chunks = (int64_t)st->panels;
    const size_t per_thread = c->n->scratch_bytes / (size_t)threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < blocks * chunks; i++) {
        const int64_t from = i / chunks * mr, rows = st->rows - from < mr ? st->rows - from : mr, chunk = i % chunks;
        run_block(st, c, from, (size_t)rows, st->panels * (size_t)chunk / (size_t)chunks,
                  st->panels * (size_t)(chunk + 1) / (size_t)chunks, zero,
                  (char *)c->scratch + (size_t)omp_get_thread_num() * per_thread);
    }
    return SKIVE_OK;
}

static const char *const ops[] = {"MatMulInteger", "MatMulIntegerToFloat", NULL};

const skv_kernel skv_kernel_int8_integer = {
    .name = "matmul_integer",
    .brief = "integer product whose zero points come at run time",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
