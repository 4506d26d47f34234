/* The loops of BatchNormalization over one sample and up to 64 channels that lie side by side, compiled once for each
 * instruction set by norm_batch_loops.h. Sums are in float within a sample; every set gives the same bits. */
#ifndef SKV_KERNEL_NORM_BATCH_H
#define SKV_KERNEL_NORM_BATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { SKV_NORM_SPAN = 64 };

typedef struct skv_norm_row {
    int64_t positions, step; /* elements from one position to the next */
    int64_t m;               /* channels, at most SKV_NORM_SPAN */
} skv_norm_row;

typedef struct skv_norm_loops {
    /* sum[m] of x - pivot, square[m] of its squares */
    void (*moments)(const skv_norm_row *r, const float *x, const float *pivot, float *sum, float *square);
    /* y = x * scale + shift + z, not below 0 with relu; z may be NULL */
    void (*apply)(const skv_norm_row *r, const float *x, const float *z, const float *scale, const float *shift,
                  bool relu, float *y);
    /* sum[m] of g, dot[m] of g * (x - mean); g is dy, or 0 where y is given and not above 0 */
    void (*gradient_sums)(const skv_norm_row *r, const float *dy, const float *x, const float *y, const float *mean,
                          float *sum, float *dot);
    /* dx = g * scale + x * slope + shift, dz = g; either may be NULL */
    void (*gradient)(const skv_norm_row *r, const float *dy, const float *x, const float *y, const float *scale,
                     const float *slope, const float *shift, float *dx, float *dz);
} skv_norm_loops;

extern const skv_norm_loops skv_norm_loops_scalar, skv_norm_loops_avx2, skv_norm_loops_avx512;

#endif
