/* Rounding to the nearest integer, ties to even, in steps that every compiler makes vectors of: below SSE4.1 there is
 * no instruction for rintf, and a call keeps a loop from being one of vectors. */
#ifndef SKV_INT8_ROUND_H
#define SKV_INT8_ROUND_H

#include <stdint.h>
#include <string.h>

/* |v| below 2^22. Added to 1.5 * 2^23, where neighbouring floats are 1 apart, v is rounded as rintf rounds it. */
static inline int32_t skv_round_small(float v) {
    const float sum = v + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &sum, sizeof bits);
    return bits - 0x4b400000;
}

/* NaN: lo */
static inline float skv_clamp(float v, float lo, float hi) {
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

#endif
