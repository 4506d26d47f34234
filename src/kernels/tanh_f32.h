/* tanh in float32 as plain arithmetic, within 2e-7. Small arguments by the first terms of the series, where 1 - 2 /
 * (e^2x + 1) would cancel. */
#ifndef SKV_TANH_F32_H
#define SKV_TANH_F32_H

#include "kernels/exp_f32.h"

static inline float tanh_f32(float x) {
    const float z = x * x;
    const float near = x * (1.0f + z * (-1.0f / 3 + z * (2.0f / 15 + z * (-17.0f / 315 + z * (62.0f / 2835)))));
    const float far = 1.0f - 2.0f / (exp_f32(2.0f * x) + 1.0f);
    return z < 0.0625f ? near : far;
}

#endif
