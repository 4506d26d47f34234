/* The loops of struct skv_quant_loops in plain C. Each loops_<isa>.c compiles this text with its instructions. Sums
 * have LANES partial sums for every register width, so that every copy gives the same bits. TABLE names the table. */
#ifndef SKV_QUANT_LOOPS_BODY_H
#define SKV_QUANT_LOOPS_BODY_H

#include "quant/loops.h"

enum { LANES = 8 };

static float magnitude(const float *x, size_t n, float top) {
#pragma omp simd reduction(max : top)
    for (size_t i = 0; i < n; i++) {
        const float m = x[i] < 0 ? -x[i] : x[i];
        top = m > top ? m : top;
    }
    return top;
}

/* Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, ties to even; the limits are integers, so it does
 * not matter that they are applied first. */
static inline float quantized(float x, float scale, float low, float high) {
    const float magic = 12582912.0f;
    float r = x / scale;
    r = r > low ? r : low;
    r = r < high ? r : high;
    return (r + magic) - magic;
}

static void quantize(const float *x, size_t n, const float *scale, size_t step, float low, float high, int8_t *q,
                     double *power, double *error) {
    double p[LANES] = {0}, e[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) {
            const float s = scale[step ? i + k : 0], r = quantized(x[i + k], s, low, high);
            const double d = (double)x[i + k] - (double)s * (double)r;
            q[i + k] = (int8_t)r;
            p[k] += (double)x[i + k] * (double)x[i + k];
            e[k] += d * d;
        }
    }
    for (; i < n; i++) {
        const float s = scale[step ? i : 0], r = quantized(x[i], s, low, high);
        const double d = (double)x[i] - (double)s * (double)r;
        q[i] = (int8_t)r;
        p[0] += (double)x[i] * (double)x[i];
        e[0] += d * d;
    }
    for (size_t k = 0; k < LANES; k++) {
        *power += p[k];
        *error += e[k];
    }
}

const skv_quant_loops TABLE = {.magnitude = magnitude, .quantize = quantize};

#endif
