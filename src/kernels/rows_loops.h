/* The loops over rows, compiled once for each instruction set; ROW_LOOPS names the table they stand in. ROW_VECTORS
 * stands for the vectors that rows_softmax.h asks for. */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "kernels/exp_f32.h"
#include "kernels/rows.h"

#ifdef ROW_VECTORS /* the level has vectors of its own */
#include "kernels/rows_softmax.h"
#else
enum { VECTOR = 16 };

/* Not fmaxf: a NaN must come out as one, and does so by the difference from it. */
static inline __attribute__((always_inline)) float largest(const float *x, int64_t n) {
    float most = x[0];
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* y = exp(x - most); the sum of it. */
static inline __attribute__((always_inline)) float exponents(const float *x, float *y, int64_t n, float most) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        const float e = exp_f32(x[i] - most);
        y[i] = e;
        sum += e;
    }
    return sum;
}

/* Less than a vector, filled up with what counts for nothing. */
static void softmax_short(const float *x, float *y, int64_t n) {
    float row[VECTOR];
    for (int l = 0; l < VECTOR; l++) row[l] = -INFINITY;
    for (int64_t i = 0; i < n; i++) row[i] = x[i];
    const float by = 1.0f / exponents(row, row, VECTOR, largest(row, VECTOR));
    for (int64_t i = 0; i < n; i++) y[i] = row[i] * by;
}

/* What is left behind whole vectors is computed as the last vector of the row, of which the first elements are done
 * twice and counted once. It is read before anything is written, for y may be x. */
static void softmax(const float *x, float *y, int64_t n) {
    if (n < VECTOR) {
        softmax_short(x, y, n);
        return;
    }
    const int64_t left = n % VECTOR;
    float tail[VECTOR], most = largest(x, n - left), sum = 0;
    if (left) {
        const float *last = x + n - VECTOR;
        const float here = largest(last, VECTOR);
        most = here > most || here != here ? here : most;
#pragma omp simd reduction(+ : sum)
        for (int l = 0; l < VECTOR; l++) {
            const float e = exp_f32(last[l] - most);
            tail[l] = e;
            sum += l >= VECTOR - left ? e : 0;
        }
    }
    const float by = 1.0f / (sum + exponents(x, y, n - left, most));
#pragma omp simd
    for (int64_t i = 0; i < n - left; i++) y[i] *= by;
    if (!left) return;
    for (int l = 0; l < VECTOR; l++) tail[l] *= by;
    memcpy(y + n - VECTOR, tail, sizeof tail);
}

static void log_softmax(const float *x, float *y, int64_t n) {
    const float most = largest(x, n);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += exp_f32(x[i] - most);
    const float from = (float)log((double)sum);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = x[i] - most - from;
}
#endif

static inline __attribute__((always_inline)) void columns(const float *x, float *y, int64_t rows, int64_t stride,
                                                          const int64_t w, const bool logarithm) {
    float most[SKV_ROWS_COLUMNS], sum[SKV_ROWS_COLUMNS];
    for (int64_t l = 0; l < w; l++) {
        most[l] = x[l];
        sum[l] = 0;
    }
    for (int64_t r = 1; r < rows; r++) {
        const float *from = x + r * stride;
#pragma omp simd
        for (int64_t l = 0; l < w; l++) most[l] = from[l] > most[l] ? from[l] : most[l];
    }
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * stride;
        float *to = y + r * stride;
#pragma omp simd
        for (int64_t l = 0; l < w; l++) {
            const float d = from[l] - most[l], e = exp_f32(d);
            to[l] = logarithm ? d : e;
            sum[l] += e;
        }
    }
    for (int64_t l = 0; l < w; l++) sum[l] = logarithm ? (float)log((double)sum[l]) : 1.0f / sum[l];
    for (int64_t r = 0; r < rows; r++) {
        float *to = y + r * stride;
#pragma omp simd
        for (int64_t l = 0; l < w; l++) to[l] = logarithm ? to[l] - sum[l] : to[l] * sum[l];
    }
}

static void softmax_columns(const float *x, float *y, int64_t rows, int64_t stride, int64_t w) {
    columns(x, y, rows, stride, w, false);
}
static void log_softmax_columns(const float *x, float *y, int64_t rows, int64_t stride, int64_t w) {
    columns(x, y, rows, stride, w, true);
}

/* Sums in float32 over a few thousand elements, in double beyond. */
static void moments(const float *x, int64_t n, double epsilon, float *mean, float *inverse) {
    enum { SPAN = 2048 };
    double sum = 0, square = 0;
    for (int64_t at = 0; at < n; at += SPAN) {
        const int64_t end = n - at < SPAN ? n : at + SPAN;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t i = at; i < end; i++) part += x[i];
        sum += (double)part;
    }
    const float m = (float)(sum / (double)n);
    for (int64_t at = 0; at < n; at += SPAN) {
        const int64_t end = n - at < SPAN ? n : at + SPAN;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t i = at; i < end; i++) part += (x[i] - m) * (x[i] - m);
        square += (double)part;
    }
    *mean = m;
    *inverse = (float)(1.0 / sqrt(square / (double)n + epsilon));
}

static void affine(const float *x, float mean, float scale, float bias, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * scale + bias;
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

static void softmax_gradient(const float *dy, const float *y, float *dx, int64_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += dy[i] * y[i];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - sum);
}

static void log_softmax_gradient(const float *dy, const float *y, float *dx, int64_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += dy[i];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] - exp_f32(y[i]) * sum;
}

static void softmax_gradient_columns(const float *dy, const float *y, float *dx, int64_t rows, int64_t stride,
                                     int64_t w) {
    float sum[SKV_ROWS_COLUMNS] = {0};
    for (int64_t r = 0; r < rows; r++) {
#pragma omp simd
        for (int64_t l = 0; l < w; l++) sum[l] += dy[r * stride + l] * y[r * stride + l];
    }
    for (int64_t r = 0; r < rows; r++) {
#pragma omp simd
        for (int64_t l = 0; l < w; l++) dx[r * stride + l] = y[r * stride + l] * (dy[r * stride + l] - sum[l]);
    }
}

static void log_softmax_gradient_columns(const float *dy, const float *y, float *dx, int64_t rows, int64_t stride,
                                         int64_t w) {
    float sum[SKV_ROWS_COLUMNS] = {0};
    for (int64_t r = 0; r < rows; r++) {
#pragma omp simd
        for (int64_t l = 0; l < w; l++) sum[l] += dy[r * stride + l];
    }
    for (int64_t r = 0; r < rows; r++) {
#pragma omp simd
        for (int64_t l = 0; l < w; l++) dx[r * stride + l] = dy[r * stride + l] - exp_f32(y[r * stride + l]) * sum[l];
    }
}

static void layer_gradient(const float *dy, const float *x, const float *scale, float mean, float inverse, float *dx,
                           int64_t n) {
    float sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
    for (int64_t i = 0; i < n; i++) {
        const float g = dy[i] * scale[i];
        sum += g;
        dot += g * ((x[i] - mean) * inverse);
    }
    const float a = sum / (float)n, b = dot / (float)n;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dx[i] = inverse * (dy[i] * scale[i] - a - (x[i] - mean) * inverse * b);
}

/* In float32 over a block of rows, in double over blocks. */
static inline __attribute__((always_inline)) void sums_of(const float *dy, const float *x, const float *mean,
                                                          const float *inverse, int64_t rows, int64_t stride,
                                                          const int64_t w, float *dscale, float *dbias) {
    enum { BLOCK = 128 };
    double scales[SKV_ROWS_SUMMED] = {0}, biases[SKV_ROWS_SUMMED] = {0};
    for (int64_t first = 0; first < rows; first += BLOCK) {
        const int64_t end = rows - first < BLOCK ? rows : first + BLOCK;
        float p[SKV_ROWS_SUMMED] = {0}, q[SKV_ROWS_SUMMED] = {0};
        for (int64_t r = first; r < end; r++) {
            const float *g = dy + r * stride, *from = x + r * stride, m = mean[r], by = inverse[r];
#pragma omp simd
            for (int64_t l = 0; l < w; l++) {
                p[l] += g[l] * ((from[l] - m) * by);
                q[l] += g[l];
            }
        }
        for (int64_t l = 0; l < w; l++) {
            scales[l] += (double)p[l];
            biases[l] += (double)q[l];
        }
    }
    for (int64_t l = 0; l < w; l++) {
        if (dscale) dscale[l] = (float)scales[l];
        if (dbias) dbias[l] = (float)biases[l];
    }
}

static void layer_sums(const float *dy, const float *x, const float *mean, const float *inverse, int64_t rows,
                       int64_t stride, int64_t w, float *dscale, float *dbias) {
    if (w == SKV_ROWS_SUMMED)
        sums_of(dy, x, mean, inverse, rows, stride, SKV_ROWS_SUMMED, dscale, dbias);
    else
        sums_of(dy, x, mean, inverse, rows, stride, w, dscale, dbias);
}

const skv_row_loops ROW_LOOPS = {softmax,
                                 log_softmax,
                                 softmax_columns,
                                 log_softmax_columns,
                                 moments,
                                 affine,
                                 layer,
                                 rms,
                                 softmax_gradient,
                                 log_softmax_gradient,
                                 softmax_gradient_columns,
                                 log_softmax_gradient_columns,
                                 layer_gradient,
                                 layer_sums};
