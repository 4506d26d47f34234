/* Convolution over padded planes (conv_planes.c): its inner part, for each instruction set, and what the kernels for
 * float32 and for bytes share. */
#ifndef SKV_CONV_PLANES_H
#define SKV_CONV_PLANES_H

#include <stdint.h>

#include "kernels/kernel.h"
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
    size_t planes_at, sums_at;       /* in the scratch: those of each thread */
    int threads;
} skv_planes;
/* to[i] = x[at + i step] less `zero`, for i < n */
typedef void skv_planes_copy(const void *x, int64_t at, int64_t step, int64_t n, int32_t zero, float *to);
/* Makes `lines` lines of output channel `channel` from their sums, which are p->width apart; the first element is
 * number `at` of the output. */
typedef void skv_planes_finish(const skv_kernel_call *c, const float *sums, int64_t lines, int64_t channel, int64_t at);

/* With plain layouts of all values, and scratch for each thread. The caller frees p->offsets, also after a failure. */
skive_status skv_planes_plan(skv_kernel_node *n, const skv_conv_shape *s, skv_planes *p);
/* w [m][taps] as [groups][row_blocks][taps][tile rows] */
void skv_planes_pack(const skv_planes *p, const float *w, float *to);
/* Over input 0, [n][c][in...] of any element type that `copy` reads. */
void skv_planes_run(const skv_planes *p, const skv_kernel_call *c, const float *w, skv_planes_copy *copy, int32_t zero,
                    skv_planes_finish *finish);

#endif
