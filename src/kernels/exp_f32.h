/* exp in float32 as plain arithmetic, which compilers turn into vector code. The argument is split into n ln 2 + r,
 * |r| at most ln(2)/2, exp(r) is its Taylor polynomial of degree 7 (2e-9 off), 2^n goes into the exponent. Within 2
 * units in the last place where the result is a normal number; 0 below that; inf above 88.02 (2^127); NaN stays NaN. */
#ifndef SKV_EXP_F32_H
#define SKV_EXP_F32_H

#include <stdint.h>
#include <string.h>

static inline float exp_f32(float x) {
    const float low = -87.33654f, high = 88.02969f, shifter = 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    float c = x < low ? low : x;
    c = c > high ? high : c;
    const float t = c * 1.44269504f + shifter, n = t - shifter;
    float r = c - n * 0.693359375f; /* ln 2 in two parts */
    r = r + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits << 23) + 0x3F800000u; /* the low bits of t are n */
    float power;
    memcpy(&power, &bits, sizeof power);
    const float y = p * power, small = x < low ? 0.0f : y;
    return x > high ? __builtin_inff() : small;
}

#endif
