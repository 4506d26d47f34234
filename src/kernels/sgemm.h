/* The product of two float32 matrices: C = alpha op(A) op(B) + beta C, row-major, op being "as it is" or "transposed".
 *
 * What an element is depends on m, n, k and the instruction set, never on the number of threads: the sum over k runs
 * in blocks of a fixed length. No memory is taken, and the stack stays where it is. */
#ifndef SKV_SGEMM_H
#define SKV_SGEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SKV_SGEMM_DEPTH = 384 }; /* steps of k in a block: a panel of B stays in the first-level cache */

/* Rows [i, i + rows) and columns [j, j + columns) of C, the first element being *c. */
typedef void skv_sgemm_block(const void *user, int64_t i, int64_t j, int64_t rows, int64_t columns, float *c);

typedef struct skv_sgemm {
    bool trans_a, trans_b;
    int64_t m, n, k;
    const float *a; /* [m][k], or [k][m] when transposed */
    const float *b; /* [k][n], or [n][k] when transposed */
    int64_t lda, ldb, ldc;
    float *c; /* [m][n] */
    float alpha;
    bool add;            /* beta: C is added to, else written */
    const float *packed; /* B by skv_sgemm_pack; b is not read then. NULL: none */
    /* What is done with blocks of C while they are in the cache, NULL: nothing. Each element is in one block before the
     * first step of k (begin, which writes what `add` adds to), and in one after the last. Any thread may call them. */
    skv_sgemm_block *begin, *end;
    const void *user;
} skv_sgemm;

/* Bytes of scratch for any product of at most these sizes on so many threads. */
size_t skv_sgemm_scratch(int64_t n, int64_t k, int threads);
void skv_sgemm_run(const skv_sgemm *g, int threads, void *scratch);

/* B ahead of time, when it never changes: floats it takes, and the packing. */
size_t skv_sgemm_packed(int64_t n, int64_t k);
void skv_sgemm_pack(bool trans_b, int64_t n, int64_t k, const float *b, int64_t ldb, float *packed);

/* ---- one instruction set's part (sgemm_tile.h) ---- */

enum { SKV_SGEMM_MOST_ROWS = 12, SKV_SGEMM_FEW_ROWS = 3, SKV_SGEMM_WIDE = 4 };

typedef struct skv_sgemm_tile {
    int rows, columns;
    /* c[rows][columns] (+)= alpha a b over k steps; a: [k][SKV rows of the tile], b: a row of `columns` every b_step
     * floats. What lies beyond `n` columns is not written; b must be readable there. Meanwhile the k floats that stand
     * every ahead_step behind `ahead` are brought near. */
    void (*run)(int rows, int64_t k, const float *a, const float *b, int64_t b_step, const float *ahead,
                int64_t ahead_step, float alpha, bool add, float *c, int64_t ldc, int64_t n);
    /* The same for at most SKV_SGEMM_FEW_ROWS rows and SKV_SGEMM_WIDE whole tiles side by side, each `apart` floats
     * behind the other in b. */
    void (*wide)(int rows, int64_t k, const float *a, const float *b, int64_t b_step, int64_t apart, float alpha,
                 bool add, float *c, int64_t ldc);
    /* The sum of a[i] b[i]. */
    float (*dot)(const float *a, const float *b, int64_t n);
} skv_sgemm_tile;
extern const skv_sgemm_tile skv_sgemm_tile_scalar, skv_sgemm_tile_avx2, skv_sgemm_tile_avx512, skv_sgemm_tile_neon;

#endif
