/* The loops, compiled once for each instruction set; UNARY_LOOP names the function. */
#include <math.h>

#include "kernels/exp_f32.h"
#include "kernels/math_f32.h"
#include "kernels/tanh_f32.h"
#include "kernels/unary.h"

static inline float softplus_f32(float x) { return x > 20.0f ? x : logf(1.0f + expf(x)); }

/* tanh(log(1 + e^x)) = n / (n + 2) with n = e^x (e^x + 2) */
static inline float mish_f32(float x) {
    const float e = exp_f32(x), n = e * (e + 2.0f);
    return x > 20.0f ? x : x * (n / (n + 2.0f));
}

/* Blocks without far numbers, NaN and infinities are vector code; in the others each number is asked. */
static void trig(const bool cosine, const float *x, float *y, int64_t n) {
    enum { BLOCK = 256 };
    for (int64_t at = 0; at < n; at += BLOCK, x += BLOCK, y += BLOCK) {
        const int64_t count = n - at < BLOCK ? n - at : BLOCK;
        int far = 0;
#pragma omp simd reduction(| : far)
        for (int64_t i = 0; i < count; i++) far |= !(fabsf(x[i]) <= SKV_TRIG_NEAR);
        if (!far) {
#pragma omp simd
            for (int64_t i = 0; i < count; i++) y[i] = trig_f32(x[i], cosine);
            continue;
        }
        for (int64_t i = 0; i < count; i++)
            y[i] = fabsf(x[i]) <= SKV_TRIG_NEAR ? trig_f32(x[i], cosine) : cosine ? cosf(x[i]) : sinf(x[i]);
    }
}

/* Up to the largest float32: exp_f32 alone ends at 2^127.5. */
static void exponentials(const float *x, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = x[i], e = exp_f32(v > 88.0f ? v - 1.0f : v);
        y[i] = v > 88.0f ? e * 2.71828183f : e;
    }
}

#define LOOP(expression)                                  \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
        const float v = x[i];                             \
        y[i] = expression;                                \
    }                                                     \
    break

void UNARY_LOOP(skv_pointwise f, float a, float b, const float *x, float *y, int64_t n) {
    if (f == SKV_PW_SIN || f == SKV_PW_COS) {
        trig(f == SKV_PW_COS, x, y, n);
        return;
    }
    if (f == SKV_PW_EXP) {
        exponentials(x, y, n);
        return;
    }
    switch (f) {
#define X(ID, ...) case SKV_PW_##ID:
#define XF(ID, ...)
#include "ops/pointwise.inc"
#undef X
#undef XF
    case SKV_PW_NONE:
    case SKV_PW_COUNT: break;
#define X(ID, ...)
#define XF(ID, name, op, count, a0, b0, value, slope, lo, hi, course, zero, onednn, fused, loop) \
    case SKV_PW_##ID:                                                                            \
        LOOP(loop);
#include "ops/pointwise.inc"
#undef X
#undef XF
    }
}
