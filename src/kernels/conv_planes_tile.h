/* The loops of conv_planes.h. The including file defines
 *   TILE                 the record's name
 *   VECTOR, LANES        a vector of floats
 *   LOAD(p) STORE(p, v)  unaligned
 *   ZERO() SET(x)        all lanes
 *   MULTIPLY_ADD(a, b, c)
 *   TILE_ROWS            4 or 8 */
#include "kernels/conv_planes.h"

#define TILE_VECTORS 3
#define INLINE       static inline __attribute__((always_inline))

INLINE void tile_of(const int rows, int64_t taps, const float *x, const int64_t *offsets, const float *w, int64_t step,
                    float *sums, int64_t apart) {
    VECTOR sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 3
        for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = ZERO();
    }
    for (int64_t t = 0; t < taps; t++, w += step) {
        const float *at = x + offsets[t];
        const VECTOR x0 = LOAD(at), x1 = LOAD(at + LANES), x2 = LOAD(at + 2 * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const VECTOR by = SET(w[r]);
            sum[r][0] = MULTIPLY_ADD(by, x0, sum[r][0]);
            sum[r][1] = MULTIPLY_ADD(by, x1, sum[r][1]);
            sum[r][2] = MULTIPLY_ADD(by, x2, sum[r][2]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 3
        for (int v = 0; v < TILE_VECTORS; v++) STORE(sums + r * apart + v * LANES, sum[r][v]);
    }
}

static void run_tile(int rows, int64_t taps, const float *x, const int64_t *offsets, const float *w, int64_t step,
                     float *sums, int64_t apart) {
    switch (rows) {
    case 1: tile_of(1, taps, x, offsets, w, step, sums, apart); return;
    case 2: tile_of(2, taps, x, offsets, w, step, sums, apart); return;
#if TILE_ROWS > 4
    case 4: tile_of(4, taps, x, offsets, w, step, sums, apart); return;
#endif
    default: tile_of(TILE_ROWS, taps, x, offsets, w, step, sums, apart); return;
    }
}

const skv_planes_tile TILE = {.rows = TILE_ROWS, .columns = TILE_VECTORS * LANES, .run = run_tile};
