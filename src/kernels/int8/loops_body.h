/* The loops of struct skv_q8_loops in plain C. Each loops_<isa>.c compiles this text with its instructions; float steps
 * are rounded one by one (no contraction), so that every copy gives the same bits. LOOPS names the table; with
 * OWN_ADD_TAPS or all of OWN_DEPTHWISE, OWN_MAX and OWN_DEPTHWISE_BYTES the file has these itself. */
#ifndef SKV_INT8_LOOPS_BODY_H
#define SKV_INT8_LOOPS_BODY_H

#include <string.h>

#include "kernels/int8/fixed_shift.h"
#include "kernels/int8/int8.h"
#include "kernels/int8/round.h"

typedef struct limits {
    float lo, hi;
    int32_t zero;
} limits;

static inline limits limits_of(const skv_requant *r) {
    return (limits){(float)(r->clamp_lo - r->y_zero_point), (float)(r->clamp_hi - r->y_zero_point), r->y_zero_point};
}

/* The low byte of nearest_even(t) + zero. */
static inline uint8_t round_byte(float t, limits l) {
    return (uint8_t)(skv_round_small(skv_clamp(t, l.lo, l.hi)) + l.zero);
}

static void add(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n, const skv_q_add *q) {
    const limits l = limits_of(&q->y);
    const int32_t az = q->a_zero_point, bz = q->b_zero_point;
    const float am = q->a_multiplier, bm = q->b_multiplier;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const float p = (float)(a[i] - az) * am, r = (float)(b[i] - bz) * bm;
        y[i] = round_byte(p + r, l);
    }
}

#ifndef OWN_MAX
/* As many whole vectors of this width as the channels hold; few channels end in narrower ones. */
#define MAX_BY(width)                                                                     \
    for (; i + (width) <= n; i += (width)) {                                              \
        typedef uint8_t lanes __attribute__((vector_size(width), aligned(1), may_alias)); \
        lanes best = *(const lanes *)(x[0] + i);                                          \
        for (size_t t = 1; t < taps; t++) {                                               \
            const lanes v = *(const lanes *)(x[t] + i), more = (lanes)(v > best);         \
            best = (v & more) | (best & ~more);                                           \
        }                                                                                 \
        *(lanes *)(y + i) = best;                                                         \
    }

static void max(const uint8_t *const *x, size_t taps, uint8_t *y, size_t n) {
    size_t i = 0;
    MAX_BY(64)
    MAX_BY(32)
    MAX_BY(16)
    MAX_BY(8)
    for (; i < n; i++) {
        uint8_t best = x[0][i];
        for (size_t t = 1; t < taps; t++) best = x[t][i] > best ? x[t][i] : best;
        y[i] = best;
    }
}
#endif

static void sum(const uint8_t *x, int32_t *total, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) total[i] += x[i];
}

#ifndef OWN_DEPTHWISE
#ifndef OWN_ADD_TAPS
/* The running sums wrap where the true ones would not; see int8.h. */
static inline __attribute__((always_inline)) void add_taps(const uint8_t *const *x, const int taps, const int16_t *w,
                                                           size_t w_stride, uint32_t *restrict total, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        uint32_t v = total[i];
#pragma GCC unroll 9
        for (int t = 0; t < taps; t++) v += (uint32_t)(x[t][i] * w[(size_t)t * w_stride + i]);
        total[i] = v;
    }
}
#endif

static void depthwise(const uint8_t *const *x, size_t taps, const int16_t *w, size_t w_stride, const int32_t *init,
                      int32_t *total, size_t n) {
    size_t t = 0;
    memcpy(total, init, n * sizeof *total);
    for (; t + 9 <= taps; t += 9) add_taps(x + t, 9, w + t * w_stride, w_stride, (uint32_t *)total, n);
    for (; t + 3 <= taps; t += 3) add_taps(x + t, 3, w + t * w_stride, w_stride, (uint32_t *)total, n);
    for (; t < taps; t++) add_taps(x + t, 1, w + t * w_stride, w_stride, (uint32_t *)total, n);
}
#endif

static void requant(const int32_t *total, const float *multiplier, size_t step, void *y, size_t n,
                    const skv_requant *r) {
    const limits l = limits_of(r);
    const float first = multiplier[0];
    if (r->output == SKV_Q_F32) {
        float *real = y;
        for (size_t i = 0; i < n; i++) real[i] = (float)total[i] * multiplier[i * step];
    } else if (step == 0) {
        uint8_t *bytes = y;
#pragma omp simd
        for (size_t i = 0; i < n; i++) bytes[i] = round_byte((float)total[i] * first, l);
    } else {
        uint8_t *bytes = y;
#pragma omp simd
        for (size_t i = 0; i < n; i++) bytes[i] = round_byte((float)total[i] * multiplier[i], l);
    }
}

/* Sums into bytes; whether all have one multiplier, and which rounding it is, are known where the loop is compiled. */
static inline __attribute__((always_inline)) void fixed_bytes(const int32_t *total, const int32_t *q31,
                                                              const int32_t *shift, const bool one, const bool single,
                                                              uint8_t *y, size_t n, const skv_q8_fixed *f) {
    const int32_t zero = f->zero, lo = f->lo, hi = f->hi, q = q31[0], s = shift[0];
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const int32_t m = one ? q : q31[i], by = one ? s : shift[i];
        const int32_t t = single ? skv_fixed_single(total[i], m, by) : skv_fixed_double(total[i], m, by);
        y[i] = (uint8_t)(skv_fixed_clamp(t, lo, hi) + zero);
    }
}

static void shift_bytes(const int32_t *total, const int32_t *shift, size_t step, uint8_t *y, size_t n,
                        const skv_q8_fixed *f) {
    const int32_t zero = f->zero, lo = f->lo, hi = f->hi;
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = (uint8_t)(skv_fixed_clamp(skv_fixed_shift(total[i], shift[i * step]), lo, hi) + zero);
}

static void fixed(const int32_t *total, const int32_t *q31, const int32_t *shift, size_t step, uint8_t *y, size_t n,
                  const skv_q8_fixed *f) {
    if (f->single && skv_fixed_shifts(q31, step, n))
        shift_bytes(total, shift, step, y, n, f);
    else if (step == 0 && f->single)
        fixed_bytes(total, q31, shift, true, true, y, n, f);
    else if (step == 0)
        fixed_bytes(total, q31, shift, true, false, y, n, f);
    else if (f->single)
        fixed_bytes(total, q31, shift, false, true, y, n, f);
    else
        fixed_bytes(total, q31, shift, false, false, y, n, f);
}

/* skv_q_add_fixed_one; the sum of the two fits int32 (skv_q_add_fixed_read). */
static void add_fixed(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n, const skv_q_add *q,
                      const skv_q_add_fixed *f) {
    const int32_t az = q->a_zero_point, bz = q->b_zero_point, up = 1 << f->left, zero = q->y.y_zero_point;
    const int32_t lo = q->y.clamp_lo - zero, hi = q->y.clamp_hi - zero;
    const int32_t am = f->a_q31, bm = f->b_q31, ym = f->y_q31, as = f->a_shift, bs = f->b_shift, ys = f->y_shift;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const int32_t p = skv_fixed_double((a[i] - az) * up, am, as), r = skv_fixed_double((b[i] - bz) * up, bm, bs);
        y[i] = (uint8_t)(skv_fixed_clamp(skv_fixed_double(p + r, ym, ys), lo, hi) + zero);
    }
}

static void quantize(const float *x, float scale, int32_t zero, int32_t lo, int32_t hi, uint8_t *y, size_t n) {
    const limits l = {(float)(lo - zero), (float)(hi - zero), zero};
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const float t = x[i] / scale;
        y[i] = round_byte(t == t ? t : 0.0f, l); /* NaN: the zero point */
    }
}

static void dequantize_u8(const uint8_t *x, float scale, int32_t zero, float *y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = (float)(x[i] - zero) * scale;
}

static void dequantize_s8(const int8_t *x, float scale, int32_t zero, float *y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = (float)(x[i] - zero) * scale;
}

static void range(const float *x, size_t n, float *low, float *high) {
    enum { LANES = 64 };
    float least[LANES], most[LANES];
    size_t i = 0;
    for (int l = 0; l < LANES; l++) {
        least[l] = *low;
        most[l] = *high;
    }
    for (; n - i >= LANES; i += LANES) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            const float v = x[i + (size_t)l];
            least[l] = v < least[l] ? v : least[l];
            most[l] = v > most[l] ? v : most[l];
        }
    }
    for (size_t l = 0; i < n; i++, l++) {
        least[l] = x[i] < least[l] ? x[i] : least[l];
        most[l] = x[i] > most[l] ? x[i] : most[l];
    }
    for (int half = LANES / 2; half > 0; half /= 2) {
#pragma omp simd
        for (int l = 0; l < half; l++) {
            least[l] = least[l + half] < least[l] ? least[l + half] : least[l];
            most[l] = most[l + half] > most[l] ? most[l + half] : most[l];
        }
    }
    *low = least[0];
    *high = most[0];
}

static void signs(const float *x, uint8_t *y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = x[i] >= 0 ? 2 : 0;
}

/* Sums become real numbers in a block of their own first: they may stand where these go, and no pointer of one type
 * reads what one of another wrote. */
static void real(const int32_t *sum, const float *scale, const float *bias, bool relu, float *y, size_t n) {
    enum { BLOCK = 64 };
    float t[BLOCK];
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t m = n - at < BLOCK ? n - at : BLOCK;
#pragma omp simd
        for (size_t i = 0; i < m; i++) t[i] = (float)sum[at + i] * scale[at + i];
        if (bias) {
#pragma omp simd
            for (size_t i = 0; i < m; i++) t[i] = t[i] + bias[at + i];
        }
        if (relu) {
#pragma omp simd
            for (size_t i = 0; i < m; i++) t[i] = t[i] < 0 ? 0 : t[i];
        }
        memcpy(y + at, t, m * sizeof *t);
    }
}

static void add_real(const int32_t *sum, const int32_t *column_sum, int32_t zero, float by, const float *scale,
                     float *y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const int32_t v = (int32_t)((uint32_t)sum[i] - (uint32_t)zero * (uint32_t)column_sum[i]);
        const float t = (float)v * (by * scale[i]);
        y[i] = y[i] + t;
    }
}

const skv_q8_loops LOOPS = {.add = add,
                            .max = max,
                            .sum = sum,
                            .depthwise = depthwise,
#ifdef OWN_DEPTHWISE_BYTES
                            .depthwise_bytes = depthwise_bytes,
#endif
                            .requant = requant,
                            .fixed = fixed,
                            .add_fixed = add_fixed,
                            .quantize = quantize,
                            .range = range,
                            .dequantize_u8 = dequantize_u8,
                            .dequantize_s8 = dequantize_s8,
                            .real = real,
                            .add_real = add_real,
                            .signs = signs};

#endif
