/* The inner part of the convolution over padded planes (conv_planes.c), for each instruction set. */
#ifndef SKV_CONV_PLANES_H
#define SKV_CONV_PLANES_H

#include <stdint.h>

enum { SKV_PLANES_MOST_ROWS = 8 };

typedef struct skv_planes_tile {
    int rows, columns; /* output channels and positions of a tile */
    /* sums[r][i] = sum over t of w[t][r] x[offsets[t] + i], for `rows` channels (those of the tile, or 1, 2 or 4 of
     * them; w has `step` numbers a tap) and the tile's columns; a row of sums is `apart` floats. */
    void (*run)(int rows, int64_t taps, const float *x, const int64_t *offsets, const float *w, int64_t step,
                float *sums, int64_t apart);
} skv_planes_tile;
extern const skv_planes_tile skv_planes_tile_scalar, skv_planes_tile_avx2, skv_planes_tile_avx512, skv_planes_tile_neon;

#endif
