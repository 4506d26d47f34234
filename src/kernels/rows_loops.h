/* The loops over rows, compiled once for each instruction set; ROW_LOOPS names the table they stand in. */
#include <math.h>
#include <stddef.h>

#include "kernels/exp_f32.h"
#include "kernels/rows.h"

static void softmax(const float *x, float *y, int64_t n) {
    float most = x[0], sum = 0;
    /* Not fmaxf: a NaN must come out as one, and does so by the difference below. */
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        const float e = exp_f32(x[i] - most);
        y[i] = e;
        sum += e;
    }
    const float by = 1.0f / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] *= by;
}

static void layer(const float *x, const float *scale, const float *bias, double epsilon, float *y, int64_t n,
                  float *mean, float *inverse) {
    float sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += x[i];
    const float m = sum / (float)n;
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < n; i++) square += (x[i] - m) * (x[i] - m);
    const float by = (float)(1.0 / sqrt((double)square / (double)n + epsilon));
    *mean = m;
    *inverse = by;
    if (bias) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * by * scale[i] + bias[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * by * scale[i];
    }
}

static void rms(const float *x, const float *scale, double epsilon, float *y, int64_t n) {
    float square = 0;
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < n; i++) square += x[i] * x[i];
    const float by = (float)(1.0 / sqrt((double)square / (double)n + epsilon));
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * by * scale[i];
}

/* 1 - erf(z) = q(t) exp(-z^2), t = 1 / (1 + 0.3275911 z): Abramowitz & Stegun 7.1.26, 1.5e-7 off. */
static void gelu(const float *x, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = x[i], z = fabsf(v) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * z);
        float q = 1.061405429f;
        q = q * t - 1.453152027f;
        q = q * t + 1.421413741f;
        q = q * t - 0.284496736f;
        q = q * t + 0.254829592f;
        q = 0.5f * q * t * exp_f32(-z * z);
        y[i] = v * (v < 0 ? q : 1.0f - q);
    }
}

/* (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)) */
static void gelu_tanh(const float *x, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = x[i];
        y[i] = v / (1.0f + exp_f32(-1.59576912f * (v + 0.044715f * v * v * v)));
    }
}

const skv_row_loops ROW_LOOPS = {softmax, layer, rms, gelu, gelu_tanh};
