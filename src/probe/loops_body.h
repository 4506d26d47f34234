/* The loops of struct skv_probe_loops in plain C. Each loops_<isa>.c compiles this text with its instructions. Sums
 * have LANES partial sums for every register width, so that every copy gives the same bits. LOOPS names the table. */
#ifndef SKV_PROBE_LOOPS_BODY_H
#define SKV_PROBE_LOOPS_BODY_H

#include "probe/loops.h"

enum { LANES = 8 };

static bool range(const float *x, size_t n, float *low, float *high) {
    float lo = x[0], hi = x[0], bad = 0;
#pragma omp simd reduction(min : lo) reduction(max : hi) reduction(+ : bad)
    for (size_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        bad += x[i] * 0.0f; /* NaN and infinity give NaN */
    }
    *low = lo;
    *high = hi;
    return bad >= 0;
}

static void bins(const float *x, size_t n, float scale, int32_t shift, int32_t *at) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const float t = x[i] * scale;
        const int32_t whole = (int32_t)t;
        at[i] = whole - (t < (float)whole) + shift;
    }
}

static void octaves(const float *x, size_t n, int32_t base, int32_t half, int32_t *at) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        union {
            float f;
            int32_t i;
        } bits = {x[i]};
        const int32_t k = ((bits.i & 0x7fffffff) >> 16) - base, above = k > 0 ? k : 0;
        at[i] = bits.i < 0 && above > 0 ? half - 1 - above : half + above;
    }
}

/* The loop of a sum of `of`, an expression in the double v. */
#define SUM_LOOP(name, of)                                                  \
    static void name(double *slot, size_t step, const float *x, size_t n) { \
        double part[LANES] = {0};                                           \
        size_t i = 0;                                                       \
        for (; step && i < n; i++) {                                        \
            const double v = (double)x[i];                                  \
            slot[i] += (of);                                                \
        }                                                                   \
        for (; i + LANES <= n; i += LANES) {                                \
            for (size_t k = 0; k < LANES; k++) {                            \
                const double v = (double)x[i + k];                          \
                part[k] += (of);                                            \
            }                                                               \
        }                                                                   \
        for (; i < n; i++) {                                                \
            const double v = (double)x[i];                                  \
            part[0] += (of);                                                \
        }                                                                   \
        for (size_t k = 0; !step && k < LANES; k++) *slot += part[k];       \
    }

SUM_LOOP(sum, v)
SUM_LOOP(magnitudes, v < 0 ? -v : v)
SUM_LOOP(squares, v *v)
SUM_LOOP(zeros, v == 0 ? 1.0 : 0.0)

const skv_probe_loops LOOPS = {.range = range,
                               .bins = bins,
                               .octaves = octaves,
                               .sum = sum,
                               .magnitudes = magnitudes,
                               .squares = squares,
                               .zeros = zeros};

#endif
