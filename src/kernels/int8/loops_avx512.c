/* The integer loops on 512-bit registers. The products of depthwise convolutions take two taps at a time: numbers of 16
 * bits side by side are multiplied and added in pairs. */
#if defined(__AVX512BW__)
#include <immintrin.h>

#include "kernels/int8/int8.h"
#include "kernels/unroll.h"

/* Of 32 channels, or those of `mask`. Sums stand as the halves of each 128 bits until they are dealt out at the end. */
SKV_INLINE void add_block(const uint8_t *const *x, const int taps, const int16_t *w, size_t w_stride, uint32_t *total,
                          size_t i, __mmask32 mask) {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i low = _mm512_setzero_si512(), high = low;
    SKV_UNROLL
    for (int t = 0; t < taps; t += 2) {
        const bool pair = t + 1 < taps;
        const __m512i a = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, x[t] + i));
        const __m512i u = _mm512_maskz_loadu_epi16(mask, w + (size_t)t * w_stride + i);
        const __m512i b = pair ? _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, x[pair ? t + 1 : t] + i))
                               : _mm512_setzero_si512();
        const __m512i v = pair ? _mm512_maskz_loadu_epi16(mask, w + (size_t)(t + 1) * w_stride + i) : b;
        low = _mm512_add_epi32(low, _mm512_madd_epi16(_mm512_unpacklo_epi16(a, b), _mm512_unpacklo_epi16(u, v)));
        high = _mm512_add_epi32(high, _mm512_madd_epi16(_mm512_unpackhi_epi16(a, b), _mm512_unpackhi_epi16(u, v)));
    }
    const __m512i front = _mm512_permutex2var_epi64(low, first, high),
                  back = _mm512_permutex2var_epi64(low, last, high);
    const __mmask16 lower = (__mmask16)mask, upper = (__mmask16)(mask >> 16);
    _mm512_mask_storeu_epi32(total + i, lower, _mm512_add_epi32(_mm512_maskz_loadu_epi32(lower, total + i), front));
    if (!upper) return;
    total += i + 16;
    _mm512_mask_storeu_epi32(total, upper, _mm512_add_epi32(_mm512_maskz_loadu_epi32(upper, total), back));
}

SKV_INLINE void add_taps(const uint8_t *const *x, const int taps, const int16_t *w, size_t w_stride, uint32_t *total,
                         size_t n) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) add_block(x, taps, w, w_stride, total, i, 0xffffffffu);
    if (i < n) add_block(x, taps, w, w_stride, total, i, (1u << (n - i)) - 1);
}

#define LOOPS skv_q8_loops_avx512
#define OWN_ADD_TAPS
#include "kernels/int8/loops_body.h"
#endif
