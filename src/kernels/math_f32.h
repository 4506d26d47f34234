/* erf, Gelu and log in float32 as plain arithmetic, which compilers turn into vector code. */
#ifndef SKV_MATH_F32_H
#define SKV_MATH_F32_H

#include <math.h>

#include "kernels/exp_f32.h"

/* x P(x^2) / Q(x^2), both of degree 5, fitted for the least relative error (3e-8) up to 3.95, where erf is 1 in
 * float32. All terms are positive, so that nothing cancels. Within 4e-7 of the result. */
static inline float erf_f32(float x) {
    const float edge = 3.95f;
    float c = edge < x ? edge : x; /* NaN stays NaN */
    c = -edge > c ? -edge : c;
    const float z = c * c;
    float p = 2.0294797e-06f;
    p = p * z + 0.00028407219f;
    p = p * z + 0.0037838088f;
    p = p * z + 0.052801136f;
    p = p * z + 0.19099148f;
    p = p * z + 1.1283792f;
    float q = 3.7836253e-05f;
    q = q * z + 0.0011646701f;
    q = q * z + 0.015006789f;
    q = q * z + 0.11432808f;
    q = q * z + 0.50259471f;
    q = q * z + 1.0f;
    const float y = c * p / q, upper = 1.0f < y ? 1.0f : y;
    return -1.0f > upper ? -1.0f : upper;
}

/* x Phi(x). 1 - erf(z) = q(t) exp(-z^2), t = 1 / (1 + 0.3275911 z): Abramowitz & Stegun 7.1.26, 1.5e-7 off; the result
 * is off by 5e-7 max(1, |x|) at most. */
static inline float gelu_f32(float x) {
    const float z = fabsf(x) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * z);
    float q = 1.061405429f;
    q = q * t - 1.453152027f;
    q = q * t + 1.421413741f;
    q = q * t - 0.284496736f;
    q = q * t + 0.254829592f;
    q = 0.5f * q * t * exp_f32(-z * z);
    return x * (x < 0 ? q : 1.0f - q);
}

/* x = m 2^e with m between the roots of 1/2 and 2; log m = 2 atanh((m - 1) / (m + 1)) by its series. Within 2 units in
 * the last place; -inf at 0, NaN below. */
static inline float log_f32(float x) {
    const float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x;
    uint32_t bits;
    memcpy(&bits, &scaled, sizeof bits);
    const int32_t e = (int32_t)(bits - 0x3F3504F3u) >> 23;
    bits -= (uint32_t)e << 23;
    float m;
    memcpy(&m, &bits, sizeof m);
    const float f = m - 1.0f, s = f / (2.0f + f), z = s * s;
    float p = 1.0f / 9;
    p = p * z + 1.0f / 7;
    p = p * z + 1.0f / 5;
    p = p * z + 1.0f / 3;
    const float k = (float)e - (x < 1.17549435e-38f ? 23.0f : 0.0f);
    const float y = k * 0.693359375f + (2.0f * s + (2.0f * s * z * p - k * 2.12194440e-4f)); /* ln 2 in two parts */
    const float edge = x == 0 ? -__builtin_inff() : __builtin_nanf("");
    return x > 0 && x < __builtin_inff() ? y : x > 0 ? x : edge;
}

enum { SKV_TRIG_NEAR = 8192 };

/* sin (turns 0) and cos (1) of what is no further from 0 than SKV_TRIG_NEAR: x = n pi/2 + r, pi/2 in three parts whose
 * products with n are exact, then the polynomials of the Cephes library for |r| up to pi/4. Within 1.5e-7. */
static inline float trig_f32(float x, const uint32_t turns) {
    const float shifter = 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    const float t = x * 0.636619772f + shifter, n = t - shifter;
    const float r = ((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.54978995489188216e-8f, z = r * r;
    const float s = r + r * z * (-1.6666654611e-1f + z * (8.3321608736e-3f + z * -1.9515295891e-4f));
    const float c =
        1.0f - 0.5f * z + z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
    uint32_t quarter;
    memcpy(&quarter, &t, sizeof quarter); /* the low bits of t are n */
    quarter += turns;
    const float v = quarter & 1 ? c : s;
    return quarter & 2 ? -v : v;
}

#endif
