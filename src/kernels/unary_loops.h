/* The loops, compiled once for each instruction set; UNARY_LOOP names the function. */
#include <math.h>

#include "kernels/exp_f32.h"
#include "kernels/tanh_f32.h"
#include "kernels/unary.h"

static inline float softplus_f32(float x) { return x > 20.0f ? x : logf(1.0f + expf(x)); }

#define LOOP(expression)                                  \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
        const float v = x[i];                             \
        y[i] = expression;                                \
    }                                                     \
    break

void UNARY_LOOP(skv_unary f, float a, float b, const float *x, float *y, int64_t n) {
    switch (f) {
    case SKV_UNARY_SIGMOID: LOOP(1.0f / (1.0f + exp_f32(-v)));
    case SKV_UNARY_TANH: LOOP(tanh_f32(v));
    case SKV_UNARY_EXP: LOOP(exp_f32(v));
    case SKV_UNARY_ELU: LOOP(v < 0 ? a * (exp_f32(v) - 1.0f) : v);
    case SKV_UNARY_SOFTPLUS: LOOP(softplus_f32(v));
    case SKV_UNARY_HARD_SIGMOID: LOOP(a * v + b < 0 ? 0.0f : a * v + b > 1 ? 1.0f : a * v + b);
    case SKV_UNARY_HARD_SWISH: LOOP(v * (v + 3.0f < 0 ? 0.0f : v + 3.0f > 6 ? 6.0f : v + 3.0f) * (1.0f / 6));
    case SKV_UNARY_LEAKY_RELU: LOOP(v < 0 ? a * v : v);
    case SKV_UNARY_CLIP: LOOP((v < a ? a : v) > b ? b : v < a ? a : v);
    case SKV_UNARY_NEG: LOOP(-v);
    case SKV_UNARY_ABS: LOOP(fabsf(v));
    case SKV_UNARY_SQRT: LOOP(sqrtf(v));
    case SKV_UNARY_RECIPROCAL: LOOP(1.0f / v);
    }
}
