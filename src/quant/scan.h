/* The loops of calibration, compiled for several instruction sets; all give the same bits. */
#ifndef SKV_QUANT_SCAN_H
#define SKV_QUANT_SCAN_H

#include "base/base.h"

typedef struct skv_scan {
    /* Smallest and largest of x[n], n > 0; false when there is NaN or infinity among them. */
    bool (*range)(const float *x, size_t n, float *low, float *high);
    /* at[i] = floor(x[i] * scale) + shift. The scale is a power of two and the results fit. */
    void (*bins)(const float *x, size_t n, float scale, int32_t shift, int32_t *at);
    /* at[i] = half + k for x[i] >= 0 and half - 1 - k below, half where k is 0, where k is the number made of the
     * exponent and the first seven bits of the fraction of x[i], less `base`, and not below 0. */
    void (*octaves)(const float *x, size_t n, int32_t base, int32_t half, int32_t *at);
    /* The largest magnitude of x[n] and `top`. */
    float (*magnitude)(const float *x, size_t n, float top);
    /* q[i] = nearest_even(x[i] / scale[i * step]) within -127..127; adds to the sums of x^2 and of the squared errors.
     * */
    void (*quantize)(const float *x, size_t n, const float *scale, size_t step, int8_t *q, double *power,
                     double *error);
} skv_scan;
extern const skv_scan skv_scan_scalar, skv_scan_avx2, skv_scan_avx512;
/* For the CPU as it is used. */
const skv_scan *skv_scan_of(skv_isa isa);

#endif
