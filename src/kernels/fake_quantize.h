/* Loops of FakeQuantize on integer grids and of its gradient, for each instruction set. */
#ifndef SKV_KERNEL_FAKE_QUANTIZE_H
#define SKV_KERNEL_FAKE_QUANTIZE_H

#include <stdint.h>

#include "base/base.h"

/* n numbers with one scale (scale_step 0) or one each (1); low and high are the ends of the levels, in steps. */
typedef struct skv_fake_loops {
    void (*round)(const float *x, int64_t n, const float *scale, int scale_step, float low, float high, float *y);
    /* dx = dy where low <= x / scale <= high. */
    void (*pass)(const float *x, const float *dy, int64_t n, const float *scale, int scale_step, float low, float high,
                 float *dx);
    /* The rules "lsq" and, with `clip`, "pact" (ops/quant/common_quantize.h): dx, and the gradient of the scale: with
     * one scale the sum is returned, otherwise those of the numbers are added to ds[n]. dx may be NULL. */
    double (*learn)(const float *x, const float *dy, int64_t n, const float *scale, int scale_step, float low,
                    float high, bool clip, float *dx, double *ds);
} skv_fake_loops;
extern const skv_fake_loops skv_fake_scalar, skv_fake_avx2, skv_fake_avx512;

#endif
