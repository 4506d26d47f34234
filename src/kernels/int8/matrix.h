/* A constant matrix of 8-bit integers in panels, and its product with rows of uint8 whose zero points come at run time:
 *
 *     sum of (a - za) (b - zb) = sum of a b - za * sum of b - zb * (sum of a - k za)
 *
 * B stands as int8 (uint8 less 128, its zero point too), the sums of its columns beside it. Sums wrap as int32. */
#ifndef SKV_INT8_MATRIX_H
#define SKV_INT8_MATRIX_H

#include "kernels/int8/int8.h"

typedef struct skv_q8_matrix {
    const skv_q8_gemm *gemm;
    int64_t k, n;
    size_t groups, panels, panel_bytes, row_bytes;
    char *b;
    int32_t *column_sum, *b_zero; /* [n]; b_zero NULL: all are 0 */
} skv_q8_matrix;
enum { SKV_Q8_MATRIX_ROWS = 32, SKV_Q8_MATRIX_COLUMNS = 32, SKV_Q8_MATRIX_LONGEST = 32768 }; /* of a tile; k */

/* data [k][n]; zeros: one, or n of them, or none; `rows`: with how many it is multiplied at once. */
skive_status skv_q8_matrix_make(skive_context *ctx, const void *data, bool is_signed, int64_t rows, int64_t k,
                                int64_t n, const skive_tensor *zeros, int64_t first_zero, int64_t n_zeros,
                                skv_q8_matrix *out);
void skv_q8_matrix_free(skive_context *ctx, skv_q8_matrix *m);

/* Up to gemm->mr rows made ready: pointers to their numbers, and each one's sum less k times its zero point. `scratch`
 * has skv_q8_matrix_scratch bytes. */
typedef struct skv_q8_rows {
    size_t n;
    const void *a[SKV_Q8_MATRIX_ROWS];
    size_t apart; /* bytes */
    int32_t sum[SKV_Q8_MATRIX_ROWS], zero[SKV_Q8_MATRIX_ROWS];
} skv_q8_rows;
size_t skv_q8_matrix_scratch(const skv_q8_matrix *m);
/* int8 rows are read as uint8 with zero points 128 higher; `zero` is the one given, of each row when `zeros` has a
 * step. */
void skv_q8_matrix_rows(const skv_q8_matrix *m, const uint8_t *x, size_t n, bool is_signed, const int32_t *zeros,
                        int64_t zero_step, char *scratch, skv_q8_rows *rows);
/* The sums of one panel, [rows][SKV_Q8_MATRIX_COLUMNS]; the number of columns. */
size_t skv_q8_matrix_panel(const skv_q8_matrix *m, const skv_q8_rows *rows, size_t panel, int32_t *sums);

/* y[row][n] += the product of `rows` rows of bytes with m, made real: times scale of the row and of the column; rows of
 * y are `ld` apart, zero points and scales of rows `step`. */
void skv_q8_matrix_add(const skv_q8_matrix *m, const skv_q8_loops *loops, const uint8_t *x, int64_t rows,
                       const float *scale, const int32_t *zero, int64_t step, const float *column_scale, float *y,
                       int64_t ld, char *scratch);

#endif
