/* The integer loops on 256-bit registers. The products of depthwise convolutions take two taps at a time: numbers of 16
 * bits side by side are multiplied and added in pairs. */
#if defined(__AVX2__)
#include <immintrin.h>

#include "kernels/int8/int8.h"
#include "kernels/unroll.h"

/* Of 16 channels. Sums stand as the halves of each 128 bits until they are dealt out at the end. */
SKV_INLINE void add_block(const uint8_t *const *x, const int taps, const int16_t *w, size_t w_stride, uint32_t *total,
                          size_t i) {
    __m256i low = _mm256_setzero_si256(), high = low;
    SKV_UNROLL
    for (int t = 0; t < taps; t += 2) {
        const bool pair = t + 1 < taps;
        const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x[t] + i)));
        const __m256i u = _mm256_loadu_si256((const __m256i *)(const void *)(w + (size_t)t * w_stride + i));
        __m256i b = _mm256_setzero_si256(), v = b;
        if (pair) {
            b = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x[pair ? t + 1 : t] + i)));
            v = _mm256_loadu_si256((const __m256i *)(const void *)(w + (size_t)(t + 1) * w_stride + i));
        }
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), _mm256_unpacklo_epi16(u, v)));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), _mm256_unpackhi_epi16(u, v)));
    }
    __m256i *to = (__m256i *)(void *)(total + i);
    const __m256i front = _mm256_permute2x128_si256(low, high, 0x20), back = _mm256_permute2x128_si256(low, high, 0x31);
    _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), front));
    _mm256_storeu_si256(to + 1, _mm256_add_epi32(_mm256_loadu_si256(to + 1), back));
}

SKV_INLINE void add_taps(const uint8_t *const *x, const int taps, const int16_t *w, size_t w_stride, uint32_t *total,
                         size_t n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) add_block(x, taps, w, w_stride, total, i);
    for (; i < n; i++)
        for (int t = 0; t < taps; t++) total[i] += (uint32_t)(x[t][i] * w[(size_t)t * w_stride + i]);
}

#define LOOPS skv_q8_loops_avx2
#define OWN_ADD_TAPS
#include "kernels/int8/loops_body.h"
#endif
