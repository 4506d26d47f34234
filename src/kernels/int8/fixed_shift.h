/* The fixed-point multipliers that are shifts: rounding once, and M = 2^30. */
#ifndef SKV_INT8_FIXED_SHIFT_H
#define SKV_INT8_FIXED_SHIFT_H

#include "kernels/int8/fixed.h"

/* skv_fixed_single of M = 2^30: floor(v / 2^n + 1/2) with n = 1 - shift. */
static inline int32_t skv_fixed_shift(int32_t v, int32_t shift) {
    const int32_t left = shift > 1 ? shift - 1 : 0, right = shift < 1 ? 1 - shift : 0;
    const uint64_t half = ((uint64_t)1 << right) >> 1;
    const uint64_t x = ((uint64_t)(int64_t)v << left) + ((uint64_t)1 << 62) + half;
    const int64_t t = (int64_t)(x >> right) - ((int64_t)1 << (62 - right));
    return (int32_t)(t < INT32_MIN ? INT32_MIN : t > INT32_MAX ? INT32_MAX : t);
}

/* Whether n multipliers M, `step` apart, are all 2^30. */
static inline bool skv_fixed_shifts(const int32_t *q31, size_t step, size_t n) {
    const int32_t first = n ? q31[0] : 0;
    uint32_t other = (uint32_t)first ^ (uint32_t)1 << 30;
    for (size_t i = 1; step && i < n; i++) other |= (uint32_t)q31[i * step] ^ (uint32_t)first;
    return other == 0;
}

#endif
