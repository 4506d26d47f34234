/* The loops of the probe, compiled for several instruction sets; all give the same bits. */
#ifndef SKV_PROBE_LOOPS_H
#define SKV_PROBE_LOOPS_H

#include "base/base.h"

typedef struct skv_probe_loops {
    /* Smallest and largest of x[n], n > 0; false when there is NaN or infinity among them. */
    bool (*range)(const float *x, size_t n, float *low, float *high);
    /* at[i] = floor(x[i] * scale) + shift. The scale is a power of two and the results fit. */
    void (*bins)(const float *x, size_t n, float scale, int32_t shift, int32_t *at);
    /* at[i] = half + k for x[i] >= 0 and half - 1 - k below, half where k is 0, where k is the number made of the
     * exponent and the first seven bits of the fraction of x[i], less `base`, and not below 0. */
    void (*octaves)(const float *x, size_t n, int32_t base, int32_t half, int32_t *at);
    /* Adds f(x[i]) to slot[i], or with step 0 all of them to *slot. */
    void (*sum)(double *slot, size_t step, const float *x, size_t n);
    void (*magnitudes)(double *slot, size_t step, const float *x, size_t n); /* |x| */
    void (*squares)(double *slot, size_t step, const float *x, size_t n);    /* x^2 */
    void (*zeros)(double *slot, size_t step, const float *x, size_t n);      /* 1 where x is 0 */
} skv_probe_loops;
extern const skv_probe_loops skv_probe_loops_scalar, skv_probe_loops_avx2, skv_probe_loops_avx512;
/* For the CPU as it is used. */
const skv_probe_loops *skv_probe_loops_of(skv_isa isa);

#endif
