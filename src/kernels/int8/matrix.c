/* See matrix.h. */
#include "kernels/int8/matrix.h"

#include <string.h>

#include "kernels/int8/tiles.h"

enum { FEW_ROWS = 2, LARGE = 1 << 17 }; /* weights that are read from beyond the second-level cache */

const skv_q8_gemm *skv_q8_gemm_of(skv_isa isa) {
    return SKV_AT(isa, AVX512_VNNI, skv_q8_gemm_vnni()) SKV_AT(isa, AVX512, skv_q8_gemm_avx512())
        SKV_AT(isa, AVX2, skv_q8_gemm_avx2()) SKV_AT(isa, I8MM, skv_q8_gemm_i8mm())
            SKV_AT(isa, DOTPROD, skv_q8_gemm_dotprod()) SKV_AT(isa, NEON, skv_q8_gemm_neon())
                SKV_ELSE(isa, skv_q8_gemm_scalar());
}

void skv_q8_matrix_free(skive_context *ctx, skv_q8_matrix *m) {
    skv_free(ctx, m->b);
    skv_free(ctx, m->column_sum);
    skv_free(ctx, m->b_zero);
    *m = (skv_q8_matrix){0};
}

static void pack(const void *data, bool is_signed, skv_q8_matrix *m) {
    const size_t nr = m->gemm->nr, run = skv_q8_column_run(m->gemm, m->groups);
    for (size_t panel = 0; panel < m->panels; panel++) {
        char *to = m->b + panel * m->panel_bytes;
        for (size_t p = 0; p < nr; p++) {
            const int64_t j = (int64_t)(panel * nr + p);
            if (j >= m->n) continue; /* stays zero */
            for (int64_t k = 0; k < m->k; k++) {
                const int64_t from = k * m->n + j;
                const int v = is_signed ? ((const int8_t *)data)[from] : ((const uint8_t *)data)[from] - 128;
                const size_t at = (size_t)k / run * nr * run + p * run + (size_t)k % run;
                m->column_sum[j] += v;
                if (m->gemm->wide && !m->gemm->narrow)
                    ((int16_t *)(void *)to)[at] = (int16_t)v;
                else
                    ((int8_t *)to)[at] = (int8_t)v;
            }
        }
    }
}

static skive_status pack_zeros(skive_context *ctx, bool is_signed, const skive_tensor *zeros, int64_t first,
                               int64_t count, skv_q8_matrix *m) {
    bool any = false;
    SKV_TRY(skv_alloc_array(ctx, (size_t)m->n, sizeof *m->b_zero, &m->b_zero));
    for (int64_t j = 0; j < m->n; j++) {
        const int32_t zero = zeros ? (int32_t)skive_tensor_get(zeros, first + (count > 1 ? j : 0)) : 0;
        m->b_zero[j] = zero - (is_signed ? 0 : 128);
        any = any || m->b_zero[j];
    }
    if (any) return SKIVE_OK;
    skv_free(ctx, m->b_zero);
    m->b_zero = NULL;
    return SKIVE_OK;
}

skive_status skv_q8_matrix_make(skive_context *ctx, const void *data, bool is_signed, int64_t rows, int64_t k,
                                int64_t n, const skive_tensor *zeros, int64_t first_zero, int64_t n_zeros,
                                skv_q8_matrix *out) {
    const skv_conv_shape s = skv_q8_product_shape(rows, k, n);
    skv_q8_matrix m = {.gemm = skv_q8_gemm_for(skv_cpu_isa(), &s), .k = k, .n = n};
    skive_status status;
    SKV_ON(AVX2,
           if (m.gemm == skv_q8_gemm_avx2() && rows <= FEW_ROWS && k * n >= LARGE) m.gemm = skv_q8_gemm_avx2_narrow();)
    m.groups = ((size_t)k + m.gemm->k_group - 1) / m.gemm->k_group;
    m.panels = ((size_t)n + m.gemm->nr - 1) / m.gemm->nr;
    m.row_bytes = m.groups * m.gemm->k_group * (m.gemm->wide ? 2 : 1);
    m.panel_bytes = m.row_bytes / (m.gemm->narrow ? 2 : 1) * m.gemm->nr;
    SKV_GO(status, fail, skv_alloc_array(ctx, m.panels, m.panel_bytes, &m.b));
    SKV_GO(status, fail, skv_alloc_array(ctx, (size_t)n, sizeof *m.column_sum, &m.column_sum));
    SKV_GO(status, fail, pack_zeros(ctx, is_signed, zeros, first_zero, n_zeros, &m));
    pack(data, is_signed, &m);
    *out = m;
    return SKIVE_OK;
fail:
    skv_q8_matrix_free(ctx, &m);
    return status;
}

/* Gathered rows, and one row as uint8. */
size_t skv_q8_matrix_scratch(const skv_q8_matrix *m) {
    return skv_align_up(m->gemm->mr * m->row_bytes + (size_t)m->k, 64);
}

void skv_q8_matrix_rows(const skv_q8_matrix *m, const uint8_t *x, size_t n, bool is_signed, const int32_t *zeros,
                        int64_t zero_step, char *scratch, skv_q8_rows *rows) {
    uint8_t *flipped = (uint8_t *)scratch + m->gemm->mr * m->row_bytes;
    const bool in_place = !m->gemm->wide && !is_signed && (size_t)m->k == m->row_bytes;
    rows->n = n;
    rows->apart = m->row_bytes;
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = x + r * (size_t)m->k;
        char *to = scratch + r * m->row_bytes;
        if (is_signed) {
            for (int64_t k = 0; k < m->k; k++) flipped[k] = row[k] ^ 128;
            row = flipped;
        }
        rows->zero[r] = zeros[(int64_t)r * zero_step] + (is_signed ? 128 : 0);
        rows->sum[r] = 0;
        if (m->b_zero) {
            for (int64_t k = 0; k < m->k; k++) rows->sum[r] += row[k];
            rows->sum[r] -= (int32_t)m->k * rows->zero[r];
        }
        if (in_place) {
            rows->a[r] = row;
            continue;
        }
        m->gemm->copy(to, 0, row, (size_t)m->k, 0);
        const size_t used = (size_t)m->k * (m->gemm->wide ? 2 : 1);
        memset(to + used, 0, m->row_bytes - used);
        rows->a[r] = to;
    }
}

/* The sums of the bytes of one panel, without the zero points; the number of columns. */
static size_t run_tile(const skv_q8_matrix *m, const skv_q8_rows *rows, size_t panel, int32_t *sums) {
    static const int32_t nothing[SKV_Q8_MATRIX_COLUMNS];
    static const skv_q8_out out = {.sums = true};
    static const size_t start = 0;
    size_t y_at[SKV_Q8_MOST_ROWS];
    for (size_t r = 0; r < rows->n; r++) y_at[r] = r * SKV_Q8_MATRIX_COLUMNS * sizeof *sums;
    const int64_t first = (int64_t)(panel * m->gemm->nr), left = m->n - first;
    const size_t columns = left < (int64_t)m->gemm->nr ? (size_t)left : m->gemm->nr;
    const skv_q8_tile tile = {.rows = rows->n,
                              .columns = columns,
                              .taps = 1,
                              .groups = m->groups,
                              .a = rows->a,
                              .apart = rows->apart,
                              .b = m->b + panel * m->panel_bytes,
                              .tap_at = &start,
                              .next = m->b + (panel + 1) * m->panel_bytes,
                              .next_bytes = m->panel_bytes,
                              .init = nothing,
                              .y = sums,
                              .y_at = y_at,
                              .out = &out};
    m->gemm->tile(&tile);
    return columns;
}

static void configure(const skv_q8_matrix *m, size_t rows) {
    if (m->gemm->configure) m->gemm->configure(rows);
}

static void release(const skv_q8_matrix *m) {
    if (m->gemm->release) m->gemm->release();
}

size_t skv_q8_matrix_panel(const skv_q8_matrix *m, const skv_q8_rows *rows, size_t panel, int32_t *sums) {
    const int64_t first = (int64_t)(panel * m->gemm->nr);
    configure(m, rows->n);
    const size_t columns = run_tile(m, rows, panel, sums);
    release(m);
    for (size_t r = 0; r < rows->n; r++) {
        uint32_t *row = (uint32_t *)sums + r * SKV_Q8_MATRIX_COLUMNS; /* wraps */
        const uint32_t zero = (uint32_t)(rows->zero[r] - m->gemm->shift), sum = (uint32_t)rows->sum[r];
        for (size_t c = 0; c < columns; c++) row[c] -= zero * (uint32_t)m->column_sum[first + (int64_t)c];
        for (size_t c = 0; m->b_zero && c < columns; c++) row[c] -= (uint32_t)m->b_zero[first + (int64_t)c] * sum;
    }
    return columns;
}

void skv_q8_matrix_add(const skv_q8_matrix *m, const skv_q8_loops *loops, const uint8_t *x, int64_t rows,
                       const float *scale, const int32_t *zero, int64_t step, const float *column_scale, float *y,
                       int64_t ld, char *scratch) {
    int32_t raw[SKV_Q8_MATRIX_ROWS * SKV_Q8_MATRIX_COLUMNS];
    const int64_t mr = (int64_t)m->gemm->mr;
    for (int64_t from = 0; from < rows; from += mr) {
        const size_t n = (size_t)(rows - from < mr ? rows - from : mr);
        skv_q8_rows ready;
        skv_q8_matrix_rows(m, x + from * m->k, n, false, zero + from * step, step, scratch, &ready);
        configure(m, n);
        for (size_t panel = 0; panel < m->panels; panel++) {
            const size_t columns = run_tile(m, &ready, panel, raw), first = panel * m->gemm->nr;
            for (size_t r = 0; r < n; r++) {
                int32_t *sum = raw + r * SKV_Q8_MATRIX_COLUMNS;
                for (size_t c = 0; m->b_zero && c < columns; c++)
                    sum[c] = (int32_t)((uint32_t)sum[c] - (uint32_t)m->b_zero[first + c] * (uint32_t)ready.sum[r]);
                loops->add_real(sum, m->column_sum + first, ready.zero[r] - m->gemm->shift,
                                scale[(from + (int64_t)r) * step], column_scale + first,
                                y + (from + (int64_t)r) * ld + first, columns);
            }
        }
        release(m);
    }
}
