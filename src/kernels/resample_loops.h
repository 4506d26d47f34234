/* The loops, compiled once for each instruction set; RESAMPLE_LOOPS names the table. */
#include <stddef.h>

#include "kernels/resample.h"

static void rows(const float *x, const int32_t *index, const float *weight, int64_t taps, float *y, int64_t n) {
    if (taps == 2 && weight[0] != 0 && weight[1] != 0) {
        const float *p = x + index[0] * n, *q = x + index[1] * n, a = weight[0], b = weight[1];
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = a * p[i] + b * q[i];
        return;
    }
    for (int64_t i = 0; i < n; i++) y[i] = 0;
    for (int64_t k = 0; k < taps; k++) {
        const float w = weight[k], *p = x + index[k] * n;
        if (w == 0) continue;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] += w * p[i];
    }
}

static void along(const float *x, const int32_t *index, const float *weight, int64_t taps, float *y, int64_t n) {
    if (taps == 2) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float a = weight[i], b = weight[n + i], p = x[index[i]], q = x[index[n + i]];
            y[i] = (a != 0 ? a * p : 0) + (b != 0 ? b * q : 0);
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) y[i] = 0;
    for (int64_t k = 0; k < taps; k++, index += n, weight += n) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float w = weight[i], p = x[index[i]];
            y[i] += w != 0 ? w * p : 0;
        }
    }
}

const skv_resample_loops RESAMPLE_LOOPS = {rows, along};
