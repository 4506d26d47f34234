/* Conversions of element types, compiled for AVX2. */
#include "kernels/convert_f16.h"

#define OWN_F32_TO_I64

/* The instruction gives INT64_MIN for what does not fit, as Cast does. There is none for vectors. */
static void f32_to_i64(const void *x_data, void *y_data, int64_t n) {
    const float *x = x_data;
    int64_t *y = y_data;
    for (int64_t i = 0; i < n; i++) y[i] = _mm_cvttss_si64(_mm_load_ss(x + i));
}

#define CONVERT_LOOPS skv_convert_avx2
#include "kernels/convert_loops.h"
