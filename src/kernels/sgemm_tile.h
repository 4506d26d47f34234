/* The inner part of the product of matrices, for one instruction set. The including file defines
 *   TILE                 the record's name
 *   VECTOR, LANES        a vector of floats
 *   LOAD(p) STORE(p, v)  unaligned
 *   STORE_PART(p, v, n)  its first n lanes
 *   ZERO() SET(x)        all lanes
 *   MULTIPLY_ADD(a, b, c) SUM(v)
 *   TILE_ROWS            rows of a tile; two vectors are its columns */
#include "kernels/sgemm.h"

#define TILE_VECTORS 2
#define INLINE       static inline __attribute__((always_inline))

INLINE void put(float *c, VECTOR v, float alpha, bool add) {
    if (alpha != 1) v = MULTIPLY_ADD(v, SET(alpha), ZERO());
    if (add) v = MULTIPLY_ADD(SET(1), LOAD(c), v);
    STORE(c, v);
}

/* Lanes beyond n belong to somebody else. */
INLINE void put_part(float *c, VECTOR v, float alpha, bool add, int64_t n) {
    float part[LANES];
    STORE(part, v);
    for (int64_t i = 0; i < n; i++) c[i] = add ? c[i] + alpha * part[i] : alpha * part[i];
}

INLINE void tile_of(const int rows, int64_t k, const float *a, const float *b, int64_t b_step, const float *ahead,
                    int64_t ahead_step, float alpha, bool add, float *c, int64_t ldc, int64_t n) {
    VECTOR sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] = ZERO();
    }
    for (int64_t p = 0; p < k; p++, a += TILE_ROWS, b += b_step, ahead += ahead_step) {
        const VECTOR b0 = LOAD(b), b1 = LOAD(b + LANES);
        __builtin_prefetch(ahead, 0, 2);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const VECTOR x = SET(a[i]);
            sum[i][0] = MULTIPLY_ADD(x, b0, sum[i][0]);
            sum[i][1] = MULTIPLY_ADD(x, b1, sum[i][1]);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < TILE_VECTORS; v++) {
            float *to = c + i * ldc + v * LANES;
            const int64_t left = n - v * LANES;
            if (left >= LANES)
                put(to, sum[i][v], alpha, add);
            else if (left > 0)
                put_part(to, sum[i][v], alpha, add, left);
        }
    }
}

#define FULL_ROWS(r) \
    case r: tile_of(r, k, a, b, b_step, ahead, ahead_step, alpha, add, c, ldc, n); return;
static void run_tile(int rows, int64_t k, const float *a, const float *b, int64_t b_step, const float *ahead,
                     int64_t ahead_step, float alpha, bool add, float *c, int64_t ldc, int64_t n) {
    switch (rows) {
        FULL_ROWS(1)
        FULL_ROWS(2)
        FULL_ROWS(3)
#if TILE_ROWS > 4
        FULL_ROWS(4)
        FULL_ROWS(5)
#endif
#if TILE_ROWS > 6
        FULL_ROWS(6)
        FULL_ROWS(7)
        FULL_ROWS(8)
        FULL_ROWS(9)
        FULL_ROWS(10)
        FULL_ROWS(11)
#endif
    default: tile_of(TILE_ROWS, k, a, b, b_step, ahead, ahead_step, alpha, add, c, ldc, n); return;
    }
}

INLINE void wide_of(const int rows, int64_t k, const float *a, const float *b, int64_t b_step, int64_t apart,
                    float alpha, bool add, float *c, int64_t ldc) {
    VECTOR sum[SKV_SGEMM_FEW_ROWS][SKV_SGEMM_WIDE * TILE_VECTORS];
#pragma GCC unroll 3
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 8
        for (int v = 0; v < SKV_SGEMM_WIDE * TILE_VECTORS; v++) sum[i][v] = ZERO();
    }
    for (int64_t p = 0; p < k; p++, a += TILE_ROWS, b += b_step) {
#pragma GCC unroll 8
        for (int v = 0; v < SKV_SGEMM_WIDE * TILE_VECTORS; v++) {
            const VECTOR y = LOAD(b + v / TILE_VECTORS * apart + v % TILE_VECTORS * LANES);
#pragma GCC unroll 3
            for (int i = 0; i < rows; i++) sum[i][v] = MULTIPLY_ADD(SET(a[i]), y, sum[i][v]);
        }
    }
#pragma GCC unroll 3
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 8
        for (int v = 0; v < SKV_SGEMM_WIDE * TILE_VECTORS; v++) put(c + i * ldc + v * LANES, sum[i][v], alpha, add);
    }
}

static void run_wide(int rows, int64_t k, const float *a, const float *b, int64_t b_step, int64_t apart, float alpha,
                     bool add, float *c, int64_t ldc) {
    if (rows == 1)
        wide_of(1, k, a, b, b_step, apart, alpha, add, c, ldc);
    else if (rows == 2)
        wide_of(2, k, a, b, b_step, apart, alpha, add, c, ldc);
    else
        wide_of(3, k, a, b, b_step, apart, alpha, add, c, ldc);
}

static float dot(const float *a, const float *b, int64_t n) {
    VECTOR sum[4] = {ZERO(), ZERO(), ZERO(), ZERO()};
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) sum[v] = MULTIPLY_ADD(LOAD(a + i + v * LANES), LOAD(b + i + v * LANES), sum[v]);
    }
    for (; i + LANES <= n; i += LANES) sum[0] = MULTIPLY_ADD(LOAD(a + i), LOAD(b + i), sum[0]);
    float total = SUM(MULTIPLY_ADD(SET(1), MULTIPLY_ADD(SET(1), sum[0], sum[1]), MULTIPLY_ADD(SET(1), sum[2], sum[3])));
    for (; i < n; i++) total += a[i] * b[i];
    return total;
}

const skv_sgemm_tile TILE = {
    .rows = TILE_ROWS, .columns = TILE_VECTORS * LANES, .run = run_tile, .wide = run_wide, .dot = dot};
