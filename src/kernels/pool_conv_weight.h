/* The loops of MaxPoolPlace and of the gradient of a convolution's weight through it. */
#ifndef SKV_POOL_CONV_WEIGHT_H
#define SKV_POOL_CONV_WEIGHT_H

#include <stdint.h>

enum { SKV_PCW_LANES = 8, SKV_PCW_ROWS = 8 }; /* numbers a row of the convolution's window takes; rows of it at most */

typedef struct skv_pcw_pool {
    int64_t pool[2], out[2]; /* windows, and how many of them */
    int64_t width;           /* of the input */
    int64_t lanes;           /* channels side by side: 16, 8 or 1 */
} skv_pcw_pool;

typedef struct skv_pcw_window {
    int64_t out[2], step[2]; /* pooled elements, and how far apart they lie in X */
    int64_t width, lanes, rows;
    int32_t offset[256]; /* in X, of each place in a pooled window */
    float share[256];    /* 1, or 0 for no place */
} skv_pcw_window;

typedef struct skv_pcw_loops {
    /* A block of channels of one image: the largest of each window, and which it is. */
    void (*pool)(const skv_pcw_pool *s, const float *x, float *y, uint8_t *place);
    /* One channel of one image: sum[row][8] += d * x[...] over all pooled elements; d and place are `lanes` apart. */
    void (*gather)(const skv_pcw_window *s, const float *x, const float *d, const uint8_t *place, float *sum);
} skv_pcw_loops;
extern const skv_pcw_loops skv_pcw_scalar, skv_pcw_avx2, skv_pcw_neon;

#endif
