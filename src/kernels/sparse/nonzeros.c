/* What of a matrix is not zero. */
#include "kernels/sparse/sparse.h"

bool skv_sparse_weight_of(const skv_kernel_node *n, size_t i, skv_sparse_matrix *m) {
    const skv_kernel_value *v = &n->in[i];
    *m = (skv_sparse_matrix){0};
    if (n->training) return false;
    if (v->coded && v->coded->symbols)
        m->coded = v->coded;
    else if (!v->coded && v->constant)
        m->data = v->constant->data;
    return m->coded || m->data;
}

bool skv_sparse_has_zeros(const skv_sparse_matrix *m, skv_why *why) {
    if (m->coded && m->coded->zero < 0) return skv_decline(why, "no zeros: none of its symbols means zero");
    return true;
}

/* Elements first .. first + n - 1 of memory that are not zero; a loop for each kind of matrix, so that it is one of
 * vectors. */
static int64_t count_nonzero(const skv_sparse_matrix *m, int64_t first, int64_t n) {
    int64_t count = 0;
    if (m->coded) {
        const uint8_t *s = m->coded->symbols + first;
        const int zero = m->coded->zero;
        for (int64_t i = 0; i < n; i++) count += s[i] != zero;
        return count;
    }
    const float *v = m->data + first;
    for (int64_t i = 0; i < n; i++) count += v[i] != 0.0f;
    return count;
}

static int is_nonzero(const skv_sparse_matrix *m, int64_t at) {
    return m->coded ? m->coded->symbols[at] != m->coded->zero : m->data[at] != 0.0f;
}

/* Lines of the matrix as it lies in memory. */
static int64_t line_count(const skv_sparse_matrix *m) { return m->column_step == 1 ? m->rows : m->columns; }
static int64_t line_length(const skv_sparse_matrix *m) { return m->column_step == 1 ? m->columns : m->rows; }
static int64_t line_at(const skv_sparse_matrix *m, int64_t line) {
    return line * (m->column_step == 1 ? m->row_step : m->column_step);
}

/* Columns in which one of the rows first .. first + rows - 1 has a nonzero. */
static int64_t count_occupied(const skv_sparse_matrix *m, int64_t first, int64_t rows) {
    const skv_sparse_matrix own = *m; /* nothing is written: its members are read once */
    const int64_t step = m->column_step;
    int64_t at[SKV_SPARSE_BLOCK], count = 0;
    for (int64_t r = 0; r < SKV_SPARSE_BLOCK; r++) at[r] = (first + (r < rows ? r : rows - 1)) * m->row_step;
    for (int64_t c = 0; c < m->columns; c++) {
        const int64_t k = c * step;
        count += is_nonzero(&own, at[0] + k) | is_nonzero(&own, at[1] + k) | is_nonzero(&own, at[2] + k) |
                 is_nonzero(&own, at[3] + k);
    }
    return count;
}

skv_sparse_count skv_sparse_counted(const skv_sparse_matrix *m, int64_t groups) {
    const int64_t each = m->rows / groups;
    skv_sparse_count count = {0, 0};
    for (int64_t i = 0; i < line_count(m); i++) count.nonzeros += count_nonzero(m, line_at(m, i), line_length(m));
    for (int64_t g = 0; g < groups; g++) {
        for (int64_t r = 0; r < each; r += SKV_SPARSE_BLOCK)
            count.blocks += count_occupied(m, g * each + r, each - r < SKV_SPARSE_BLOCK ? each - r : SKV_SPARSE_BLOCK);
    }
    return count;
}

double skv_sparse_zeros_sampled(const skv_sparse_matrix *m) {
    enum { LINES = 64, LENGTH = 128 };
    const int64_t lines = line_count(m), length = line_length(m);
    const int64_t taken = lines < LINES ? lines : LINES, n = length < LENGTH ? length : LENGTH;
    int64_t nonzeros = 0;
    for (int64_t i = 0; i < taken; i++) {
        /* Not all of them at the beginning of their lines: another place on each. */
        const int64_t from = taken > 1 ? (length - n) * i / (taken - 1) : 0;
        nonzeros += count_nonzero(m, line_at(m, lines * i / taken) + from, n);
    }
    return taken * n > 0 ? 1.0 - (double)nonzeros / (double)(taken * n) : 0.0;
}

/* row_start from the number of nonzeros in each row. */
static void count_rows(const skv_sparse_matrix *m, int64_t *row_start) {
    for (int64_t i = 0; i < line_count(m); i++) {
        const int64_t line = line_at(m, i);
        if (m->column_step == 1)
            row_start[i + 1] = count_nonzero(m, line, m->columns);
        else
            for (int64_t r = 0; r < m->rows; r++) row_start[r + 1] += is_nonzero(m, line + r);
    }
    for (int64_t r = 0; r < m->rows; r++) row_start[r + 1] += row_start[r];
}

/* Both orders of reading leave the columns of a row ascending. next [rows]: where each row's next nonzero goes; values
 * [nonzeros]: of a coded matrix in the order of memory. */
static void fill(const skv_sparse_matrix *m, const float *values, const skv_nonzeros *nz, int64_t *next) {
    for (int64_t i = 0; i < line_count(m); i++) {
        const int64_t line = line_at(m, i);
        for (int64_t k = 0; k < line_length(m); k++) {
            if (!is_nonzero(m, line + k)) continue;
            const int64_t row = m->column_step == 1 ? i : k, at = next[row]++;
            nz->column[at] = (uint32_t)(m->column_step == 1 ? k : i);
            nz->value[at] = m->coded ? *values++ : m->data[line + k];
        }
    }
}

skive_status skv_nonzeros_read(skive_context *ctx, const skv_sparse_matrix *m, skv_nonzeros *out) {
    skv_nonzeros nz = {.rows = m->rows, .columns = m->columns};
    int64_t *next = NULL;
    float *values = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)m->rows + 1, sizeof *nz.row_start, &nz.row_start));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)m->rows + 1, sizeof *next, &next));
    count_rows(m, nz.row_start);
    const size_t count = (size_t)nz.row_start[m->rows];
    SKV_GO(status, done, skv_alloc_array(ctx, count, sizeof *nz.column, &nz.column));
    SKV_GO(status, done, skv_alloc_array(ctx, count, sizeof *nz.value, &nz.value));
    if (m->coded) {
        SKV_GO(status, done, skv_alloc_array(ctx, count, sizeof *values, &values));
        skv_coded_nonzero_values(m->coded, values);
    }
    for (int64_t r = 0; r < m->rows; r++) next[r] = nz.row_start[r];
    fill(m, values, &nz, next);
done:
    skv_free(ctx, values);
    skv_free(ctx, next);
    if (status != SKIVE_OK) skv_nonzeros_free(ctx, &nz);
    *out = nz;
    return status;
}

void skv_nonzeros_free(skive_context *ctx, skv_nonzeros *nz) {
    skv_free(ctx, nz->row_start);
    skv_free(ctx, nz->column);
    skv_free(ctx, nz->value);
    *nz = (skv_nonzeros){0};
}
