/* Tiles of 3 positions by 4 channels in plain C. Each of the twelve results is the sum of products along two rows of
 * 16-bit numbers, which compilers know how to make of vector instructions (pmaddwd on x86): twelve sums and what they
 * need fill sixteen vector registers. */
#include "kernels/int8/int8.h"
#include "kernels/int8/round.h"
#include "kernels/unroll.h"

enum { MR = 3, NR = 4, STEP = 8, ALL = 16 }; /* ALL: what is turned into bytes at once, one row more than there is */

#include "kernels/int8/gemm_store.h"
#include "kernels/int8/gemm_widen.h"

/* Written out: an inner loop over r and c keeps gcc from seeing twelve sums. */
#define ROW(r)                      \
    do {                            \
        s[r][0] += a##r[i] * b0[i]; \
        s[r][1] += a##r[i] * b1[i]; \
        s[r][2] += a##r[i] * b2[i]; \
        s[r][3] += a##r[i] * b3[i]; \
    } while (0)

SKV_INLINE void multiply(const skv_q8_tile *t, const int rows, int32_t *acc) {
    const size_t k = t->groups * STEP;
    const int16_t *restrict a0 = t->a[0], *restrict a1 = t->a[rows > 1 ? 1 : 0], *restrict a2 = t->a[rows > 2 ? 2 : 0];
    const int16_t *restrict b0 = t->b, *restrict b1 = b0 + k, *restrict b2 = b1 + k, *restrict b3 = b2 + k;
    int32_t s[MR][NR] = {{0}};
    for (size_t i = 0; i < k; i++) {
        ROW(0);
        if (rows > 1) ROW(1);
        if (rows > 2) ROW(2);
    }
    for (int r = 0; r < ALL / NR; r++)
        for (int c = 0; c < NR; c++) acc[r * NR + c] = (r < MR ? s[r][c] : 0) + t->init[c];
}

SKV_INLINE void body(const skv_q8_tile *t, const int rows) {
    int32_t acc[ALL];
    multiply(t, rows, acc);
    store(t, rows, acc);
}

static __attribute__((noinline)) void tile_1(const skv_q8_tile *t) { body(t, 1); }
static __attribute__((noinline)) void tile_2(const skv_q8_tile *t) { body(t, 2); }
static __attribute__((noinline)) void tile_3(const skv_q8_tile *t) { body(t, 3); }

static void tile(const skv_q8_tile *t) {
    if (t->rows == 3)
        tile_3(t);
    else if (t->rows == 2)
        tile_2(t);
    else
        tile_1(t);
}

static const skv_q8_gemm gemm = {
    .mr = MR, .nr = NR, .k_group = STEP, .wide = true, .by_column = true, .tile = tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_scalar(void) { return &gemm; }
