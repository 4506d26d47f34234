/* Loops of Resize between elements, for each instruction set. */
#ifndef SKV_RESAMPLE_H
#define SKV_RESAMPLE_H

#include <stdint.h>

#include "base/base.h"

typedef struct skv_resample_loops {
    /* y[i] = sum over k of weight[k] x[index[k] * n + i]: `taps` rows of n elements. A weight of 0 hides its
     * element. */
    void (*rows)(const float *x, const int32_t *index, const float *weight, int64_t taps, float *y, int64_t n);
    /* y[i] = sum over k of weight[k][i] x[index[k][i]], both [taps][n]. */
    void (*along)(const float *x, const int32_t *index, const float *weight, int64_t taps, float *y, int64_t n);
} skv_resample_loops;
extern const skv_resample_loops skv_resample_scalar, skv_resample_avx2, skv_resample_avx512;

#endif
