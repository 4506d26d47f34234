/* The loops over weights, compiled for several instruction sets; all give the same bits. */
#ifndef SKV_QUANT_LOOPS_H
#define SKV_QUANT_LOOPS_H

#include "base/base.h"

typedef struct skv_quant_loops {
    /* The largest magnitude of x[n] and `top`. */
    float (*magnitude)(const float *x, size_t n, float top);
    /* The codes of a symmetric integer grid within low..high, q[i] = nearest_even(x[i] / scale[i * step]): those of
     * skv_integer_encode, except of NaN. Adds to the sums of x^2 and of the squared errors. */
    void (*quantize)(const float *x, size_t n, const float *scale, size_t step, float low, float high, int8_t *q,
                     double *power, double *error);
} skv_quant_loops;
extern const skv_quant_loops skv_quant_loops_scalar, skv_quant_loops_avx2, skv_quant_loops_avx512;
/* For the CPU as it is used. */
const skv_quant_loops *skv_quant_loops_of(skv_isa isa);

#endif
