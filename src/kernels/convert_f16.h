/* Conversions between float32 and float16 by the instructions of F16C, which give the bits of skv_f32_to_f16, NaNs
 * included. */
#ifndef SKV_CONVERT_F16_H
#define SKV_CONVERT_F16_H

#include <immintrin.h>

#include "tensor/tensor.h"

#define OWN_F16

static void f32_to_f16(const void *x_data, void *y_data, int64_t n) {
    const float *x = x_data;
    uint16_t *y = y_data;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((void *)(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++) y[i] = skv_f32_to_f16(x[i]);
}

static void f16_to_f32(const void *x_data, void *y_data, int64_t n) {
    const uint16_t *x = x_data;
    float *y = y_data;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(x + i))));
    for (; i < n; i++) y[i] = skv_f16_to_f32(x[i]);
}

#endif
