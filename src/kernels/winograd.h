/* Winograd's minimal filtering F(2x2, r x r) (Lavin & Gray, 2016) for training, r = 3 or 5, on activations in blocks
 * of 16 channels. A tile of t x t inputs, t = r + 1, gives 2x2 outputs by t * t products instead of 4 r r.
 *
 * With B, G, A the transforms of the interpolation points 0, 1, -1 (r = 3) and 0, 1, -1, 2, -2 (r = 5) and infinity:
 *     forward             Y = A'[(G w G') * (B'x B)]A, summed over the input's channels
 *     gradient by input   the same on dY with the window turned round and channels exchanged; or, where the inputs have
 *                         many more tiles than the outputs, transposed:
 *                         dX = sum of overlapping tiles B[(G w G') * (A dY A')]B'
 *     gradient by weight  dw = A'[sum over tiles of (G dy G') * (B'x B)]A, of tiles of 2x2 gradients and r x r results
 * where B depends on t alone, and G and A on what stands in the place of window and result. */
#ifndef SKV_KERNEL_WINOGRAD_H
#define SKV_KERNEL_WINOGRAD_H

#include "kernels/kernel.h"
#include "ops/conv/common_conv.h"

enum {
    SKV_WINO_LANES = 16,
    SKV_WINO_ROWS = 24,   /* tiles multiplied at once; a unit of work is a multiple */
    SKV_WINO_SIDE = 6,    /* largest t */
    SKV_WINO_POINTS = 36, /* largest t * t */
};

typedef struct skv_wino {
    int r, t, points;
    int64_t n, ci, co;      /* channels read and made; for the weight's gradient those of x and dy */
    int64_t ci_b, co_b;     /* in blocks of 16 */
    int64_t h, w, oh, ow;   /* of what is read in t x t tiles, and of what stands in 2x2 tiles */
    int64_t top, left;      /* padding */
    int64_t rows, columns;  /* of tiles */
    int64_t tiles, unit;    /* in all; in a unit of work */
    int64_t v_step, m_step; /* between points of transformed tiles, in floats */
    int64_t u_floats;       /* of transformed weights: [point][co_b][ci][16], or [point][ci_b * 16][co_b * 16] */
    int64_t w_out, w_in;    /* steps of the window's plain weights by made and by read channel */
    bool turned, relu;      /* the window is read backwards; y = max(y, 0) */
    bool spread;            /* the transposed algorithm: 2x2 tiles of oh x ow are read, t x t tiles added to h x w */
    int threads;
    size_t u_at, thread_at, thread_bytes, m_at; /* in the scratch; m_at within a thread's part */
} skv_wino;

/* For inference at the level of AVX2: is the convolution one of 3x3 windows for which F(2x2, 3x3) is faster? */
bool skv_wino_square(const skv_conv_shape *s, skv_why *why);
enum { SKV_WINO_GAIN_PERCENT = 180 }; /* of the direct kernel's speed, then */

enum {
    SKV_WINO_SQUARE_ROWS = 6,    /* tiles of a product there */
    SKV_WINO_SQUARE_POINTS = 16, /* of a tile of 4x4 */
};
/* Its tiles of 2x2 outputs, divided into units of work. */
typedef struct skv_wino_tiles {
    int64_t h, w, oh, ow, top, left; /* of the input and the output; padding */
    int64_t columns, plane, tiles;   /* tiles of a line, of an image, of all */
    int64_t units, most;             /* units of work; tiles of one at most */
    int threads;
} skv_wino_tiles;
/* A unit's transformed inputs of c channels are about `numbers`; there is one thread below `parallel_from` tiles times
 * channels times outputs. */
void skv_wino_tiles_of(const skv_conv_shape *s, int64_t c, int64_t numbers, int64_t parallel_from, int threads,
                       skv_wino_tiles *out);
/* The first output of a tile. */
typedef struct skv_wino_place {
    int64_t image, y, x;
} skv_wino_place;
static inline skv_wino_place skv_wino_place_of(const skv_wino_tiles *t, int64_t tile) {
    const int64_t inside = tile % t->plane;
    return (skv_wino_place){tile / t->plane, inside / t->columns * 2, inside % t->columns * 2};
}

/* Does the node's convolution suit? `s` is the forward convolution's shape. */
bool skv_wino_suits(const skv_kernel_node *n, const skv_conv_shape *s, skv_why *why);
/* Fills all but the scratch's places. */
void skv_wino_plan(const skv_conv_shape *s, bool by_input, int threads, skv_wino *out);
/* The convolution's shape from the node's values. */
bool skv_wino_shape(const skv_kernel_node *n, const skive_type *x, const skive_type *w, skv_conv_shape *s,
                    skv_why *why);

#endif
