/* Convolution over padded planes (conv_planes.c): its inner part, for each instruction set, and what the kernels for
 * float32 and for bytes share. */
#ifndef SKV_CONV_PLANES_H
#define SKV_CONV_PLANES_H

#include <stdint.h>

#include "ops/conv/common_conv.h"

enum { SKV_PLANES_MOST_ROWS = 8 };

typedef struct skv_planes_tile {
    int rows, columns; /* output channels and positions of a tile */
    /* sums[r][i] = sum over t of w[t][r] x[offsets[t] + i], for `rows` channels (those of the tile, or 1, 2 or 4 of
     * them; w has `step` numbers a tap) and the tile's columns; a row of sums is `apart` floats. */
    void (*run)(int rows, int64_t taps, const float *x, const int64_t *offsets, const float *w, int64_t step,
                float *sums, int64_t apart);
} skv_planes_tile;
extern const skv_planes_tile skv_planes_tile_scalar, skv_planes_tile_avx2, skv_planes_tile_avx512, skv_planes_tile_neon;

enum { SKV_PLANES_PARALLEL_FROM = 1 << 17 }; /* multiplications */

typedef struct skv_planes {
    skv_conv_shape s;
    const skv_planes_tile *tile;
    int64_t in, out;                 /* channels of a group */
    int64_t taps, row_blocks;        /* of a group: elements of a window; tiles of output channels */
    int64_t lines, bands, all_bands; /* output lines of a band, at most; bands of a slice, and of everything */
    int64_t height, width;           /* of a plane */
    int64_t span;                    /* positions of a band, in whole tiles */
    int64_t *offsets;                /* [taps] */
    size_t weight_floats;            /* packed */
    size_t plane_floats, sum_floats; /* of a thread */
} skv_planes;
/* A band of a group: image, group, slice of the output, its first line and their number. */
typedef struct skv_planes_band {
    int64_t image, group, slice, first, lines;
} skv_planes_band;
/* to[i] = x[at + i step] less `zero`, for i < n */
typedef void skv_planes_copy(const void *x, int64_t at, int64_t step, int64_t n, int32_t zero, float *to);

/* The caller frees p->offsets, also after a failure. */
skive_status skv_planes_plan(skive_context *ctx, const skv_conv_shape *s, skv_planes *p);
/* w [m][taps] as [groups][row_blocks][taps][tile rows] */
void skv_planes_pack(const skv_planes *p, const float *w, float *to);
skv_planes_band skv_planes_band_at(const skv_planes *p, int64_t i);
/* The planes of a band, from x [n][c][in...] in any element type that `copy` reads; padding is 0. */
void skv_planes_fill(const skv_planes *p, const void *x, skv_planes_copy *copy, int32_t zero, const skv_planes_band *b,
                     float *to);
/* The sums of a tile's output channels from `first` of the group on: rows `span` apart, lines `width` apart. Gives how
 * many channels there are. */
int64_t skv_planes_sums(const skv_planes *p, const skv_planes_band *b, int64_t first, const float *planes,
                        const float *w, float *sums);

#endif
