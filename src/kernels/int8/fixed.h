/* Fixed-point requantization for the integer kernels: skv_q_fixed_double and skv_q_fixed_single of
 * ops/quant/common_fixed.h in steps that compilers make vectors of. Shifting a negative number right is up to the
 * compiler, so numbers are moved above zero first. */
#ifndef SKV_INT8_FIXED_H
#define SKV_INT8_FIXED_H

#include "ops/quant/common_fixed.h"

/* What is the same for all channels of a node, less the zero point. */
typedef struct skv_q8_fixed {
    bool on, single;
    int32_t zero, lo, hi;
} skv_q8_fixed;
static inline skv_q8_fixed skv_q8_fixed_of(const skv_q_scaling *s) {
    return (skv_q8_fixed){s->fixed, s->single, s->r.y_zero_point, s->r.clamp_lo - s->r.y_zero_point,
                          s->r.clamp_hi - s->r.y_zero_point};
}

static inline int32_t skv_fixed_double(int32_t v, int32_t q31, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    const int32_t most = INT32_MAX >> left, least = -most - 1;
    const int32_t up = (int32_t)((uint32_t)v << left), a = v > most ? INT32_MAX : v < least ? INT32_MIN : up;
    const uint64_t product = (uint64_t)((int64_t)a * q31) + ((uint64_t)1 << 62) + ((uint64_t)1 << 30);
    const int32_t high = (int32_t)((int64_t)(product >> 31) - ((int64_t)1 << 31));
    const uint32_t size = high < 0 ? 0u - (uint32_t)high : (uint32_t)high, half = ((uint32_t)1 << right) >> 1;
    const uint32_t t = (size + half) >> right;
    return (int32_t)(high < 0 ? 0u - t : t);
}

static inline int32_t skv_fixed_single(int32_t v, int32_t q31, int32_t shift) {
    const int32_t total = 31 - shift;
    const uint64_t half = (uint64_t)1 << (total - 1), x = (uint64_t)((int64_t)v * q31) + ((uint64_t)1 << 62) + half;
    const int64_t t = (int64_t)(x >> total) - ((int64_t)1 << (62 - total));
    return (int32_t)(t < INT32_MIN ? INT32_MIN : t > INT32_MAX ? INT32_MAX : t);
}

static inline int32_t skv_fixed_clamp(int32_t t, int32_t lo, int32_t hi) {
    t = t > lo ? t : lo;
    return t < hi ? t : hi;
}

#endif
