/* The loops of pooling in f32, for one instruction set: the largest and the sum. The including file defines POOL_MAX
 * and POOL_SUM, the names of the two tables. Loops over taps are written out where they are few; more are taken some at
 * a time. The largest of what holds NaN is NaN, whichever comes first. */
#include <math.h>
#include <string.h>

#include "kernels/pool_window.h"
#include "kernels/unroll.h"

enum { TAPS = 5 }; /* at once */

/* The largest keeps a NaN in `a`, for the comparison is false, and takes one in `b` by a choice of its own, which costs
 * less than a longer condition. */
SKV_INLINE float join(const bool max, float a, float b) {
    const float most = b > a ? b : a;
    return !max ? a + b : b != b ? b : most;
}

SKV_INLINE void rows_of(const bool max, const int n, const bool more, const float *const *x, float *restrict y,
                        int64_t width) {
    const float *x0 = x[0], *x1 = x[n > 1 ? 1 : 0], *x2 = x[n > 2 ? 2 : 0], *x3 = x[n > 3 ? 3 : 0];
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
        float v = more ? join(max, y[i], x0[i]) : x0[i];
        if (n > 1) v = join(max, v, x1[i]);
        if (n > 2) v = join(max, v, x2[i]);
        if (n > 3) v = join(max, v, x3[i]);
        y[i] = v;
    }
}

SKV_INLINE void rows(const bool max, const float *const *x, size_t n, float *y, int64_t width) {
    bool more = false;
    while (n > 0) {
        const size_t now = n > 4 ? 4 : n;
        if (now == 4) rows_of(max, 4, more, x, y, width);
        if (now == 3) rows_of(max, 3, more, x, y, width);
        if (now == 2) rows_of(max, 2, more, x, y, width);
        if (now == 1) rows_of(max, 1, more, x, y, width);
        more = true;
        x += now;
        n -= now;
    }
}

SKV_INLINE void line_of(const bool max, const int taps, const int64_t step, const bool more, const skv_pool_line *l,
                        const float *x, float *restrict y) {
    const int64_t apart = l->tap_step;
#pragma omp simd
    for (int64_t o = 0; o < l->outs; o++) {
        float v = more ? join(max, y[o], x[o * step]) : x[o * step];
        SKV_UNROLL
        for (int k = 1; k < taps; k++) v = join(max, v, x[o * step + k * apart]);
        y[o] = v;
    }
}

SKV_INLINE void lanes_of(const bool max, const int taps, const int64_t lanes, const bool more, const skv_pool_line *l,
                         const float *x, float *restrict y) {
    const int64_t apart = l->tap_step;
    for (int64_t o = 0; o < l->outs; o++, x += l->out_step, y += lanes) {
#pragma omp simd
        for (int64_t c = 0; c < lanes; c++) {
            float v = more ? join(max, y[c], x[c]) : x[c];
            SKV_UNROLL
            for (int k = 1; k < taps; k++) v = join(max, v, x[c + k * apart]);
            y[c] = v;
        }
    }
}

SKV_INLINE void some(const bool max, const int taps, const bool more, const skv_pool_line *l, const float *x,
                     float *y) {
    if (l->lanes == 1) {
        if (l->out_step == 1)
            line_of(max, taps, 1, more, l, x, y);
        else if (l->out_step == 2)
            line_of(max, taps, 2, more, l, x, y);
        else
            line_of(max, taps, l->out_step, more, l, x, y);
    } else if (l->lanes == 16) {
        lanes_of(max, taps, 16, more, l, x, y);
    } else if (l->lanes == 8) {
        lanes_of(max, taps, 8, more, l, x, y);
    } else {
        lanes_of(max, taps, l->lanes, more, l, x, y);
    }
}

SKV_INLINE void line(const bool max, const skv_pool_line *l, const float *x, float *y) {
    bool more = false;
    for (int64_t left = l->taps; left > 0; left -= TAPS, x += TAPS * l->tap_step, more = true) {
        if (left >= 5) {
            if (more)
                some(max, 5, true, l, x, y);
            else
                some(max, 5, false, l, x, y);
        }
        if (left == 4) some(max, 4, more, l, x, y);
        if (left == 3) some(max, 3, more, l, x, y);
        if (left == 2) some(max, 2, more, l, x, y);
        if (left == 1) some(max, 1, more, l, x, y);
    }
}

SKV_INLINE float all(const bool max, const float *x, int64_t n) {
    enum { LANES = 16 };
    float part[LANES];
    SKV_UNROLL
    for (int c = 0; c < LANES; c++) part[c] = max ? -INFINITY : 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
#pragma omp simd
        for (int c = 0; c < LANES; c++) part[c] = join(max, part[c], x[i + c]);
    }
    if (max && i < n && n >= LANES) { /* the last whole vector: some elements twice */
#pragma omp simd
        for (int c = 0; c < LANES; c++) part[c] = join(max, part[c], x[n - LANES + c]);
        i = n;
    }
    for (int c = 0; i < n; i++, c++) part[c] = join(max, part[c], x[i]);
    SKV_UNROLL
    for (int c = 0; c < 8; c++) part[c] = join(max, part[c], part[c + 8]);
    SKV_UNROLL
    for (int c = 0; c < 4; c++) part[c] = join(max, part[c], part[c + 4]);
    part[0] = join(max, join(max, part[0], part[1]), join(max, part[2], part[3]));
    return part[0];
}

/* Short lines by vectors: the last one begins where it ends with the line, and does some elements twice. Compilers
 * make calls of memmove of such loops, which take longer than the lines; vectors of 32 bytes are two where they are
 * shorter. */
typedef float eight __attribute__((vector_size(32)));

SKV_INLINE void eight_of(const float *x, const float *share, float *y) {
    eight v, by;
    memcpy(&v, x, sizeof v);
    if (share) {
        memcpy(&by, share, sizeof by);
        v = v * by;
    }
    memcpy(y, &v, sizeof v);
}

SKV_INLINE void short_line(const float *x, const float *share, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) eight_of(x + i, share ? share + i : NULL, y + i);
    if (i == n) return;
    if (n >= 8) {
        eight_of(x + n - 8, share ? share + n - 8 : NULL, y + n - 8);
        return;
    }
    SKV_UNROLL
    for (int c = 0; c < 7; c++)
        if (c < n) y[c] = share ? x[c] * share[c] : x[c];
}

static void spread(const float *x, int64_t lines, int64_t n, float *y, int64_t low, int64_t all, float nothing) {
    for (int64_t i = 0; i < low; i++) y[i] = nothing;
    y += low;
    const int64_t high = all - n; /* to the next line's first element */
    for (int64_t h = 0; h < lines; h++, x += n, y += all) {
        const int64_t behind = h + 1 < lines ? high : high - low;
        short_line(x, NULL, y, n);
        if (behind == 2) { /* of windows of three */
            y[n] = y[n + 1] = nothing;
            continue;
        }
        for (int64_t i = 0; i < behind; i++) y[n + i] = nothing;
    }
}

static void collect(const float *x, int64_t lines, int64_t all, const float *share, float *y, int64_t n) {
    if (share)
        for (int64_t h = 0; h < lines; h++, x += all, y += n) short_line(x, share + h * n, y, n);
    else
        for (int64_t h = 0; h < lines; h++, x += all, y += n) short_line(x, NULL, y, n);
}

static void rows_max(const float *const *x, size_t n, float *y, int64_t width) { rows(true, x, n, y, width); }
static void rows_sum(const float *const *x, size_t n, float *y, int64_t width) { rows(false, x, n, y, width); }
static void line_max(const skv_pool_line *l, const float *x, float *y) { line(true, l, x, y); }
static void line_sum(const skv_pool_line *l, const float *x, float *y) { line(false, l, x, y); }
static float all_max(const float *x, int64_t n) { return all(true, x, n); }
static float all_sum(const float *x, int64_t n) { return all(false, x, n); }

const skv_pool_loops POOL_MAX = {rows_max, line_max, all_max, spread, collect};
const skv_pool_loops POOL_SUM = {rows_sum, line_sum, all_sum, spread, collect};
