/* What the row kernels' loops need and give, for each instruction set. */
#ifndef SKV_ROWS_H
#define SKV_ROWS_H

#include <stdint.h>

typedef struct skv_row_loops {
    /* y = exp(x - max) / sum, over n contiguous elements; y may be x. */
    void (*softmax)(const float *x, float *y, int64_t n);
    /* y = (x - mean) * inverse * scale + bias; bias may be NULL. Gives mean and inverse. y may be x. */
    void (*layer)(const float *x, const float *scale, const float *bias, double epsilon, float *y, int64_t n,
                  float *mean, float *inverse);
    void (*rms)(const float *x, const float *scale, double epsilon, float *y, int64_t n);
    /* Off by 5e-7 * max(1, |x|) at most. */
    void (*gelu)(const float *x, float *y, int64_t n);
    void (*gelu_tanh)(const float *x, float *y, int64_t n);
} skv_row_loops;
extern const skv_row_loops skv_row_loops_scalar, skv_row_loops_avx2, skv_row_loops_avx512;

#endif
