/* Products of float32 rows and weights that stay in few bits: integers of 2, 4 or 8 bits with a scale and a zero point
 * for each channel or block, or 16-bit floats.
 *
 * A weight becomes the number that DequantizeLinear makes of it, in a register, and sums are those of skv_sgemm_run
 * with packed weights: results are the same to the bit as with dense float32 weights on the same instruction set. */
#ifndef SKV_PACKED_H
#define SKV_PACKED_H

#include "base/base.h"

typedef enum skv_packed_kind {
    SKV_PACKED_2,
    SKV_PACKED_4,
    SKV_PACKED_8,
    SKV_PACKED_F16,
    SKV_PACKED_BF16
} skv_packed_kind;

enum { SKV_PACKED_FEW_ROWS = 3 };

/* Panels of `columns` columns, as many as a tile of skv_sgemm has. */
typedef struct skv_packed {
    skv_packed_kind kind;
    int64_t n, k;
    int columns;
    int64_t block, blocks; /* steps of k that share scales */
    size_t panel_bytes;
    float offset; /* the code that stands for zero, where it is one for all */
    /* Of integers of 2 and 4 bits a word holds the next 16 or 8 steps of a column, the first in its lowest bits:
     * [panel][word of k][columns]. Others: [panel][k][columns]. */
    uint8_t *codes;
    float *scale, *zero; /* [panel][blocks][columns]; zero NULL: the offset */
} skv_packed;

typedef struct skv_packed_loops {
    int columns;
    /* c[rows][ldc] (+)= a[rows][lda] W for panels [from, to); at most SKV_PACKED_FEW_ROWS rows. */
    void (*rows)(const skv_packed *w, int rows, const float *a, int64_t lda, int64_t from, int64_t to, bool add,
                 float *c, int64_t ldc);
    /* One panel as float32 [k][columns]. */
    void (*decode)(const skv_packed *w, int64_t panel, float *to);
} skv_packed_loops;
extern const skv_packed_loops skv_packed_loops_scalar, skv_packed_loops_avx2, skv_packed_loops_avx512,
    skv_packed_loops_neon;

#endif
