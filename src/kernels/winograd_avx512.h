/* Winograd's transforms in vectors of 16 channels, along one axis: element i stands at [i * step]. For
 * winograd_*_avx512.c. */
#ifndef SKV_KERNEL_WINOGRAD_AVX512_H
#define SKV_KERNEL_WINOGRAD_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kernels/unroll.h"
#include "kernels/winograd.h"

SKV_INLINE __m512 skv_times(float a, __m512 x) { return _mm512_mul_ps(_mm512_set1_ps(a), x); }
/* a x + y */
SKV_INLINE __m512 skv_axpy(float a, __m512 x, __m512 y) { return _mm512_fmadd_ps(_mm512_set1_ps(a), x, y); }
SKV_INLINE __m512 skv_plus(__m512 x, __m512 y) { return _mm512_add_ps(x, y); }
SKV_INLINE __m512 skv_minus(__m512 x, __m512 y) { return _mm512_sub_ps(x, y); }

/* B': t to t, of what is read. */
SKV_INLINE void skv_wino_read(int t, const __m512 *d, int step, __m512 *o) {
    const __m512 d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    if (t == 4) {
        o[0] = skv_minus(d0, d2);
        o[step] = skv_plus(d1, d2);
        o[2 * step] = skv_minus(d2, d1);
        o[3 * step] = skv_minus(d3, d1);
        return;
    }
    const __m512 d4 = d[4 * step], d5 = d[5 * step];
    const __m512 even = skv_axpy(-4, d2, d4), odd = skv_axpy(-4, d1, d3);
    const __m512 even2 = skv_minus(d4, d2), odd2 = skv_minus(d3, d1);
    o[0] = skv_axpy(4, d0, skv_axpy(-5, d2, d4));
    o[step] = skv_plus(even, odd);
    o[2 * step] = skv_minus(even, odd);
    o[3 * step] = skv_axpy(2, odd2, even2);
    o[4 * step] = skv_axpy(-2, odd2, even2);
    o[5 * step] = skv_axpy(4, d1, skv_axpy(-5, d3, d5));
}

/* A': t to 2, of the sums of products. */
SKV_INLINE void skv_wino_made(int t, const __m512 *m, int step, __m512 *o, int o_step) {
    const __m512 sum = skv_plus(m[step], m[2 * step]), difference = skv_minus(m[step], m[2 * step]);
    if (t == 4) {
        o[0] = skv_plus(m[0], sum);
        o[o_step] = skv_plus(difference, m[3 * step]);
        return;
    }
    const __m512 sum2 = skv_plus(m[3 * step], m[4 * step]), difference2 = skv_minus(m[3 * step], m[4 * step]);
    o[0] = skv_plus(m[0], skv_plus(sum, sum2));
    o[o_step] = skv_plus(skv_axpy(2, difference2, difference), m[5 * step]);
}

/* G: r to t, of the window. */
SKV_INLINE void skv_wino_window(int r, const __m512 *g, int step, __m512 *o, int o_step) {
    const __m512 g0 = g[0], g1 = g[step], g2 = g[2 * step];
    if (r == 3) {
        const __m512 even = skv_times(0.5f, skv_plus(g0, g2)), odd = skv_times(0.5f, g1);
        o[0] = g0;
        o[o_step] = skv_plus(even, odd);
        o[2 * o_step] = skv_minus(even, odd);
        o[3 * o_step] = g2;
        return;
    }
    const __m512 g3 = g[3 * step], g4 = g[4 * step];
    const __m512 even = skv_times(-1.0f / 6, skv_plus(skv_plus(g0, g2), g4)),
                 odd = skv_times(-1.0f / 6, skv_plus(g1, g3));
    const __m512 even2 = skv_times(1.0f / 24, skv_axpy(16, g4, skv_axpy(4, g2, g0)));
    const __m512 odd2 = skv_times(1.0f / 12, skv_axpy(4, g3, g1));
    o[0] = skv_times(0.25f, g0);
    o[o_step] = skv_plus(even, odd);
    o[2 * o_step] = skv_minus(even, odd);
    o[3 * o_step] = skv_plus(even2, odd2);
    o[4 * o_step] = skv_minus(even2, odd2);
    o[5 * o_step] = g4;
}

/* G: 2 to t, of a gradient in the place of the window. */
SKV_INLINE void skv_wino_gradient(int t, const __m512 *g, int step, __m512 *o, int o_step) {
    const __m512 g0 = g[0], g1 = g[step];
    o[0] = g0;
    o[(t - 1) * o_step] = g1;
    const __m512 sum = skv_plus(g0, g1), difference = skv_minus(g0, g1);
    if (t == 4) {
        o[o_step] = skv_times(0.5f, sum);
        o[2 * o_step] = skv_times(0.5f, difference);
        return;
    }
    o[0] = skv_times(0.25f, g0);
    o[o_step] = skv_times(-1.0f / 6, sum);
    o[2 * o_step] = skv_times(-1.0f / 6, difference);
    o[3 * o_step] = skv_times(1.0f / 24, skv_axpy(2, g1, g0));
    o[4 * o_step] = skv_times(1.0f / 24, skv_axpy(-2, g1, g0));
}

/* A': t to r, of the sums that make the weight's gradient. */
SKV_INLINE void skv_wino_weight(int t, const __m512 *m, int step, __m512 *o, int o_step) {
    const __m512 sum = skv_plus(m[step], m[2 * step]), difference = skv_minus(m[step], m[2 * step]);
    if (t == 4) {
        o[0] = skv_plus(m[0], sum);
        o[o_step] = difference;
        o[2 * o_step] = skv_plus(sum, m[3 * step]);
        return;
    }
    const __m512 sum2 = skv_plus(m[3 * step], m[4 * step]), difference2 = skv_minus(m[3 * step], m[4 * step]);
    o[0] = skv_plus(m[0], skv_plus(sum, sum2));
    o[o_step] = skv_axpy(2, difference2, difference);
    o[2 * o_step] = skv_axpy(4, sum2, sum);
    o[3 * o_step] = skv_axpy(8, difference2, difference);
    o[4 * o_step] = skv_plus(skv_axpy(16, sum2, sum), m[5 * step]);
}

/* A: 2 to 6, of a gradient that is read by the transposed algorithm. */
SKV_INLINE void skv_wino_spread_read(const __m512 *g, int step, __m512 *o, int o_step) {
    const __m512 g0 = g[0], g1 = g[step];
    o[0] = g0;
    o[o_step] = skv_plus(g0, g1);
    o[2 * o_step] = skv_minus(g0, g1);
    o[3 * o_step] = skv_axpy(2, g1, g0);
    o[4 * o_step] = skv_axpy(-2, g1, g0);
    o[5 * o_step] = g1;
}

/* B: 6 to 6, of the sums of products of the transposed algorithm. */
SKV_INLINE void skv_wino_spread_made(const __m512 *m, int step, __m512 *o) {
    const __m512 m0 = m[0], m5 = m[5 * step];
    const __m512 sum = skv_plus(m[step], m[2 * step]), difference = skv_minus(m[step], m[2 * step]);
    const __m512 sum2 = skv_plus(m[3 * step], m[4 * step]), difference2 = skv_minus(m[3 * step], m[4 * step]);
    o[0] = skv_times(4, m0);
    o[step] = skv_axpy(-4, difference, skv_axpy(-2, difference2, skv_times(4, m5)));
    o[2 * step] = skv_axpy(-5, m0, skv_axpy(-4, sum, skv_minus(_mm512_setzero_ps(), sum2)));
    o[3 * step] = skv_axpy(2, difference2, skv_axpy(-5, m5, difference));
    o[4 * step] = skv_plus(m0, skv_plus(sum, sum2));
    o[5 * step] = m5;
}

/* A tile's place. */
typedef struct skv_wino_tile {
    int64_t n, row, column;
} skv_wino_tile;

SKV_INLINE skv_wino_tile skv_wino_tile_at(const skv_wino *k, int64_t index) {
    const int64_t plane = k->rows * k->columns, inside = index % plane;
    return (skv_wino_tile){index / plane, inside / k->columns, inside % k->columns};
}

SKV_INLINE void skv_wino_tile_next(const skv_wino *k, skv_wino_tile *at) {
    if (++at->column < k->columns) return;
    at->column = 0;
    if (++at->row < k->rows) return;
    at->row = 0;
    at->n++;
}

/* Tiles [first, first + count) of x, transformed into v [point][unit][ci_b * 16]; rows up to the next multiple of
 * SKV_WINO_ROWS are zero. */
SKV_INLINE void skv_wino_read_unit(int t, const skv_wino *k, const float *x, int64_t first, int64_t count, float *v) {
    const int64_t channels = k->ci_b * SKV_WINO_LANES, plane = k->h * k->w * SKV_WINO_LANES;
    skv_wino_tile at = skv_wino_tile_at(k, first);
    for (int64_t i = 0; i < count; i++, skv_wino_tile_next(k, &at)) {
        const int64_t y0 = 2 * at.row - k->top, x0 = 2 * at.column - k->left;
        const bool inside = y0 >= 0 && x0 >= 0 && y0 + t <= k->h && x0 + t <= k->w;
        for (int64_t b = 0; b < k->ci_b; b++) {
            __m512 d[SKV_WINO_POINTS];
            const float *from = x + (at.n * k->ci_b + b) * plane + (y0 * k->w + x0) * SKV_WINO_LANES;
            float *to = v + i * channels + b * SKV_WINO_LANES;
            SKV_UNROLL
            for (int p = 0; p < t; p++) {
                SKV_UNROLL
                for (int q = 0; q < t; q++) {
                    const bool there = inside || (y0 + p >= 0 && y0 + p < k->h && x0 + q >= 0 && x0 + q < k->w);
                    d[p * t + q] =
                        there ? _mm512_loadu_ps(from + (p * k->w + q) * SKV_WINO_LANES) : _mm512_setzero_ps();
                }
            }
            SKV_UNROLL
            for (int q = 0; q < t; q++) skv_wino_read(t, d + q, t, d + q);
            SKV_UNROLL
            for (int p = 0; p < t; p++) {
                skv_wino_read(t, d + p * t, 1, d + p * t);
                SKV_UNROLL
                for (int q = 0; q < t; q++) _mm512_storeu_ps(to + (p * t + q) * k->v_step, d[p * t + q]);
            }
        }
    }
    const int64_t full = (count + SKV_WINO_ROWS - 1) / SKV_WINO_ROWS * SKV_WINO_ROWS;
    for (int p = 0; full > count && p < t * t; p++) {
        memset(v + p * k->v_step + count * channels, 0, (size_t)((full - count) * channels) * sizeof *v);
    }
}

#endif
