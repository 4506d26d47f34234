/* exp in float32 as plain arithmetic, which compilers turn into vector code. The argument is split into n ln 2 + r,
 * |r| at most ln(2)/2, exp(r) is a polynomial of degree 6 fitted for the least relative error (3e-9 off) with exp(0)
 * and its slope exact, 2^n goes into the exponent. Within 2 units in the last place where the result is a normal
 * number; 0 for n below -126; inf above 88.37 (n = 128); NaN stays NaN. The limits come before the power and not
 * behind it: exponents below zero become zero, and 128 is infinity. */
#ifndef SKV_EXP_F32_H
#define SKV_EXP_F32_H

#include <stdint.h>
#include <string.h>

#define SKV_EXP_2 0.49999994f
#define SKV_EXP_3 0.16666521f
#define SKV_EXP_4 0.041668389f
#define SKV_EXP_5 0.0083687454f
#define SKV_EXP_6 0.0013814539f

static inline float exp_f32(float x) {
    const float low = -104.0f, high = 89.0f, shifter = 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    float c = high < x ? high : x;
    c = low > c ? low : c;
    const float t = c * 1.44269504f + shifter, n = t - shifter;
    float r = c - n * 0.693359375f; /* ln 2 in two parts */
    r = r + n * 2.12194440e-4f;
    float p = SKV_EXP_6;
    p = p * r + SKV_EXP_5;
    p = p * r + SKV_EXP_4;
    p = p * r + SKV_EXP_3;
    p = p * r + SKV_EXP_2;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &t, sizeof bits);
    int32_t exponent = (int32_t)((bits << 23) + 0x3F800000u); /* the low bits of t are n */
    exponent = exponent > 0 ? exponent : 0;
    float power;
    memcpy(&power, &exponent, sizeof power);
    return p * power;
}

#endif
