/* The loops, compiled once for each instruction set; RECURRENT_LOOPS names the table. */
#include <math.h>

#include "kernels/exp_f32.h"
#include "kernels/recurrent.h"
#include "kernels/tanh_f32.h"

static inline float sigmoid(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

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

static void lstm_keep(float *gates, const float *c_before, float *c, float *h, int64_t n) {
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const float i = sigmoid(gates[k]), o = sigmoid(gates[n + k]), f = sigmoid(gates[2 * n + k]),
                    g = tanh_f32(gates[3 * n + k]), cell = f * c_before[k] + i * g;
        gates[k] = i;
        gates[n + k] = o;
        gates[2 * n + k] = f;
        gates[3 * n + k] = g;
        c[k] = cell;
        h[k] = o * tanh_f32(cell);
    }
}

/* What the new part has of the state before is never taken in a condition: compilers make no vectors of such a load. */
static inline float gru_fresh(float sum, float part, float z, float before, float *fresh) {
    *fresh = tanh_f32(sum + part);
    return (1.0f - z) * *fresh + z * before;
}

static void gru_keep(float *gates, const float *recurrent, bool linear, const float *h_before, float *h, int64_t n) {
    const float *z = gates, *r = gates + n;
    float *fresh = gates + 2 * n;
    if (linear) {
#pragma omp simd
        for (int64_t k = 0; k < n; k++) h[k] = gru_fresh(fresh[k], r[k] * recurrent[k], z[k], h_before[k], &fresh[k]);
    } else {
#pragma omp simd
        for (int64_t k = 0; k < n; k++) h[k] = gru_fresh(fresh[k], recurrent[k], z[k], h_before[k], &fresh[k]);
    }
}

static void lstm_back(float *gates, const float *c_before, const float *dh, float *dc, int64_t n) {
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const float i = gates[k], o = gates[n + k], f = gates[2 * n + k], g = gates[3 * n + k];
        const float t = tanh_f32(f * c_before[k] + i * g), d = dc[k] + dh[k] * o * (1.0f - t * t);
        gates[k] = d * g * i * (1.0f - i);
        gates[n + k] = dh[k] * t * o * (1.0f - o);
        gates[2 * n + k] = d * c_before[k] * f * (1.0f - f);
        gates[3 * n + k] = d * i * (1.0f - g * g);
        dc[k] = d * f;
    }
}

static void rnn_back(float *gates, const float *dh, int64_t n) {
#pragma omp simd
    for (int64_t k = 0; k < n; k++) gates[k] = dh[k] * (1.0f - gates[k] * gates[k]);
}

static void gru_back(float *gates, float *recurrent, bool linear, const float *h_before, float *dh, int64_t n) {
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const float z = gates[k], r = gates[n + k], fresh = gates[2 * n + k];
        const float d_fresh = dh[k] * (1.0f - z) * (1.0f - fresh * fresh);
        gates[k] = dh[k] * (h_before[k] - fresh) * z * (1.0f - z);
        gates[n + k] = linear ? d_fresh * recurrent[k] * r * (1.0f - r) : r;
        gates[2 * n + k] = d_fresh;
        recurrent[k] = linear ? d_fresh * r : recurrent[k];
        dh[k] *= z;
    }
}

static void gru_back_reset(float *gates, const float *d_gated, const float *h_before, float *dh, int64_t n) {
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const float r = gates[n + k];
        gates[n + k] = d_gated[k] * h_before[k] * r * (1.0f - r);
        dh[k] += d_gated[k] * r;
    }
}

const skv_recurrent_loops RECURRENT_LOOPS = {lstm,     rnn,       gru_gates, gru_state, lstm_keep,
                                             gru_keep, lstm_back, rnn_back,  gru_back,  gru_back_reset};
