/* The loops, compiled once for each instruction set; RECURRENT_LOOPS names the table. */
#include <math.h>

#include "kernels/exp_f32.h"
#include "kernels/recurrent.h"
#include "kernels/tanh_f32.h"

static inline float sigmoid(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

/* Four rows of w at a time, so that y is read and written a quarter as often. */
static void product(const float *x, int64_t x_step, const float *w, float *y, int64_t y_step, int64_t rows, int64_t k,
                    int64_t n) {
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * x_step;
        float *to = y + r * y_step;
        int64_t j = 0;
        for (; j + 4 <= k; j += 4) {
            const float a = from[j], b = from[j + 1], c = from[j + 2], d = from[j + 3];
            const float *row = w + j * n;
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                to[i] += a * row[i] + b * row[n + i] + c * row[2 * n + i] + d * row[3 * n + i];
        }
        for (; j < k; j++) {
            const float a = from[j], *row = w + j * n;
#pragma omp simd
            for (int64_t i = 0; i < n; i++) to[i] += a * row[i];
        }
    }
}

static void lstm(const float *sum, float *h, float *c, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float cell = sigmoid(sum[2 * n + i]) * c[i] + sigmoid(sum[i]) * tanh_f32(sum[3 * n + i]);
        c[i] = cell;
        h[i] = sigmoid(sum[n + i]) * tanh_f32(cell);
    }
}

static void rnn(const float *sum, float *h, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) h[i] = tanh_f32(sum[i]);
}

static void gru_gates(float *sum, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < 2 * n; i++) sum[i] = sigmoid(sum[i]);
}

static void gru_state(const float *gates, const float *x, const float *recurrent, bool linear, float *h, int64_t n) {
    if (linear) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            h[i] = (1.0f - gates[i]) * tanh_f32(x[i] + gates[n + i] * recurrent[i]) + gates[i] * h[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) h[i] = (1.0f - gates[i]) * tanh_f32(x[i] + recurrent[i]) + gates[i] * h[i];
    }
}

const skv_recurrent_loops RECURRENT_LOOPS = {product, lstm, rnn, gru_gates, gru_state};
