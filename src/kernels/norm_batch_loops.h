/* Included once by each norm_batch_<isa>.c, after NORM_LOOPS was defined as the name of its table. Rows of 16 lanes,
 * what blocked layouts have, get loops of a constant length; a choice is written as a product, since comparing floats
 * would make the compiler branch. */
#include "kernels/norm_batch.h"

#define NORM_INLINE static inline __attribute__((always_inline))

NORM_INLINE void moments_of(const skv_norm_row *r, int64_t m, const float *x, const float *pivot, float *sum,
                            float *square) {
    float s[SKV_NORM_SPAN] = {0}, q[SKV_NORM_SPAN] = {0};
    for (int64_t i = 0; i < r->positions; i++) {
        const float *at = x + i * r->step;
#pragma omp simd
        for (int64_t c = 0; c < m; c++) {
            const float d = at[c] - pivot[c];
            s[c] += d;
            q[c] += d * d;
        }
    }
    for (int64_t c = 0; c < m; c++) {
        sum[c] = s[c];
        square[c] = q[c];
    }
}

NORM_INLINE void apply_of(const skv_norm_row *r, int64_t m, const float *x, const float *z, const float *scale,
                          const float *shift, bool relu, float *y) {
    for (int64_t i = 0; i < r->positions; i++) {
        const int64_t at = i * r->step;
#pragma omp simd
        for (int64_t c = 0; c < m; c++) {
            float v = x[at + c] * scale[c] + shift[c];
            if (z) v += z[at + c];
            y[at + c] = relu ? (v < 0 ? 0 : v) : v;
        }
    }
}

NORM_INLINE void gradient_sums_of(const skv_norm_row *r, int64_t m, const float *dy, const float *x, const float *y,
                                  const float *mean, float *sum, float *dot) {
    float s[SKV_NORM_SPAN] = {0}, q[SKV_NORM_SPAN] = {0};
    for (int64_t i = 0; i < r->positions; i++) {
        const int64_t at = i * r->step;
#pragma omp simd
        for (int64_t c = 0; c < m; c++) {
            float g = dy[at + c];
            if (y) g = y[at + c] > 0 ? g : 0;
            s[c] += g;
            q[c] += g * (x[at + c] - mean[c]);
        }
    }
    for (int64_t c = 0; c < m; c++) {
        sum[c] = s[c];
        dot[c] = q[c];
    }
}

NORM_INLINE void gradient_of(const skv_norm_row *r, int64_t m, const float *dy, const float *x, const float *y,
                             const float *scale, const float *slope, const float *shift, float *dx, float *dz) {
    for (int64_t i = 0; i < r->positions; i++) {
        const int64_t at = i * r->step;
#pragma omp simd
        for (int64_t c = 0; c < m; c++) {
            float g = dy[at + c];
            if (y) g = y[at + c] > 0 ? g : 0;
            if (dx) dx[at + c] = g * scale[c] + x[at + c] * slope[c] + shift[c];
            if (dz) dz[at + c] = g;
        }
    }
}

static void moments(const skv_norm_row *r, const float *x, const float *pivot, float *sum, float *square) {
    if (r->m == 16)
        moments_of(r, 16, x, pivot, sum, square);
    else
        moments_of(r, r->m, x, pivot, sum, square);
}

static void apply(const skv_norm_row *r, const float *x, const float *z, const float *scale, const float *shift,
                  bool relu, float *y) {
    if (r->m == 16 && !z && relu)
        apply_of(r, 16, x, NULL, scale, shift, true, y);
    else if (r->m == 16 && !z)
        apply_of(r, 16, x, NULL, scale, shift, false, y);
    else if (r->m == 16 && relu)
        apply_of(r, 16, x, z, scale, shift, true, y);
    else if (z)
        apply_of(r, r->m, x, z, scale, shift, relu, y);
    else
        apply_of(r, r->m, x, NULL, scale, shift, relu, y);
}

static void gradient_sums(const skv_norm_row *r, const float *dy, const float *x, const float *y, const float *mean,
                          float *sum, float *dot) {
    if (r->m == 16 && y)
        gradient_sums_of(r, 16, dy, x, y, mean, sum, dot);
    else if (r->m == 16)
        gradient_sums_of(r, 16, dy, x, NULL, mean, sum, dot);
    else if (y)
        gradient_sums_of(r, r->m, dy, x, y, mean, sum, dot);
    else
        gradient_sums_of(r, r->m, dy, x, NULL, mean, sum, dot);
}

static void gradient(const skv_norm_row *r, const float *dy, const float *x, const float *y, const float *scale,
                     const float *slope, const float *shift, float *dx, float *dz) {
    if (r->m == 16 && y && dx && dz)
        gradient_of(r, 16, dy, x, y, scale, slope, shift, dx, dz);
    else if (r->m == 16 && y && dx)
        gradient_of(r, 16, dy, x, y, scale, slope, shift, dx, NULL);
    else if (r->m == 16 && dx && !dz)
        gradient_of(r, 16, dy, x, NULL, scale, slope, shift, dx, NULL);
    else if (y)
        gradient_of(r, r->m, dy, x, y, scale, slope, shift, dx, dz);
    else
        gradient_of(r, r->m, dy, x, NULL, scale, slope, shift, dx, dz);
}

const skv_norm_loops NORM_LOOPS = {moments, apply, gradient_sums, gradient};
