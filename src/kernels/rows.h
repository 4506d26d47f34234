/* What the row kernels' loops need and give, for each instruction set. */
#ifndef SKV_ROWS_H
#define SKV_ROWS_H

#include "kernels/kernel.h"

enum { SKV_ROWS_COLUMNS = 128, SKV_ROWS_SUMMED = 32 }; /* columns of one call at most; those of layer_sums */

typedef struct skv_row_loops {
    /* y = exp(x - max) / sum, over n contiguous elements; y may be x. */
    void (*softmax)(const float *x, float *y, int64_t n);
    /* y = x - max - log(sum of exp(x - max)) */
    void (*log_softmax)(const float *x, float *y, int64_t n);
    /* Both over `rows` rows of `w` columns, `stride` apart, for each column by itself. */
    void (*softmax_columns)(const float *x, float *y, int64_t rows, int64_t stride, int64_t w);
    void (*log_softmax_columns)(const float *x, float *y, int64_t rows, int64_t stride, int64_t w);
    /* The mean and 1 / sqrt(variance + epsilon), and y = (x - mean) * scale + bias. */
    void (*moments)(const float *x, int64_t n, double epsilon, float *mean, float *inverse);
    void (*affine)(const float *x, float mean, float scale, float bias, float *y, int64_t n);
    /* y = (x - mean) * inverse * scale + bias; bias may be NULL. Gives mean and inverse. y may be x. */
    void (*layer)(const float *x, const float *scale, const float *bias, double epsilon, float *y, int64_t n,
                  float *mean, float *inverse);
    void (*rms)(const float *x, const float *scale, double epsilon, float *y, int64_t n);
    /* Gradients by x of a row of Softmax, LogSoftmax (y being what they gave) and of layer; dx may be dy. */
    void (*softmax_gradient)(const float *dy, const float *y, float *dx, int64_t n);
    void (*log_softmax_gradient)(const float *dy, const float *y, float *dx, int64_t n);
    /* The first two over `rows` rows of `w` columns, `stride` apart, for each column by itself. */
    void (*softmax_gradient_columns)(const float *dy, const float *y, float *dx, int64_t rows, int64_t stride,
                                     int64_t w);
    void (*log_softmax_gradient_columns)(const float *dy, const float *y, float *dx, int64_t rows, int64_t stride,
                                         int64_t w);
    void (*layer_gradient)(const float *dy, const float *x, const float *scale, float mean, float inverse, float *dx,
                           int64_t n);
    /* Of layer by scale and bias: sums over `rows` rows, `stride` apart, of w columns; mean and inverse are of rows. */
    void (*layer_sums)(const float *dy, const float *x, const float *mean, const float *inverse, int64_t rows,
                       int64_t stride, int64_t w, float *dscale, float *dbias);
} skv_row_loops;
extern const skv_row_loops skv_row_loops_scalar, skv_row_loops_avx2, skv_row_loops_avx512;

const skv_row_loops *skv_row_loops_of(skv_isa isa);
/* Elements of a row of input 0: of the axes from the attribute `axis` on. */
int64_t skv_row_length(const skv_kernel_node *n);

#endif
