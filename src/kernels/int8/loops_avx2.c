/* The integer loops on 256-bit registers. The products of depthwise convolutions take two taps at a time: numbers of 16
 * bits side by side are multiplied and added in pairs. */
#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

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

/* Written out: of a comparison of vectors of bytes gcc does not make the instruction for the larger one. */
static void max(const uint8_t *const *x, size_t taps, uint8_t *y, size_t n) {
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m256i a = _mm256_loadu_si256((const void *)(x[0] + i)), b = _mm256_loadu_si256((const void *)(x[0] + i + 32));
        for (size_t t = 1; t < taps; t++) {
            a = _mm256_max_epu8(a, _mm256_loadu_si256((const void *)(x[t] + i)));
            b = _mm256_max_epu8(b, _mm256_loadu_si256((const void *)(x[t] + i + 32)));
        }
        _mm256_storeu_si256((void *)(y + i), a);
        _mm256_storeu_si256((void *)(y + i + 32), b);
    }
    for (; i + 16 <= n; i += 16) {
        __m128i a = _mm_loadu_si128((const void *)(x[0] + i));
        for (size_t t = 1; t < taps; t++) a = _mm_max_epu8(a, _mm_loadu_si128((const void *)(x[t] + i)));
        _mm_storeu_si128((void *)(y + i), a);
    }
    for (; i + 8 <= n; i += 8) {
        __m128i a = _mm_loadl_epi64((const void *)(x[0] + i));
        for (size_t t = 1; t < taps; t++) a = _mm_max_epu8(a, _mm_loadl_epi64((const void *)(x[t] + i)));
        _mm_storel_epi64((void *)(y + i), a);
    }
    for (; i < n; i++) {
        uint8_t best = x[0][i];
        for (size_t t = 1; t < taps; t++) best = x[t][i] > best ? x[t][i] : best;
        y[i] = best;
    }
}

/* Sums of eight channels, as bytes in 32 bits; see round_byte. */
SKV_INLINE __m256i round_eight(__m256i sum, const float *multiplier, __m256 lo, __m256 hi, __m256i zero) {
    const __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(multiplier));
    const __m256i v = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(t, lo), hi));
    return _mm256_and_si256(_mm256_add_epi32(v, zero), _mm256_set1_epi32(255));
}

/* The bytes of two taps of eight channels times their weights, added to the sums. */
SKV_INLINE __m256i add_pair(__m256i sum, __m128i bytes, const int16_t *w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(bytes), _mm256_loadu_si256((const void *)w)));
}

/* pairs: a constant of the place it is inlined at, or as many as there are */
SKV_INLINE void depthwise_pairs(const uint8_t *const *x, const size_t pairs, size_t taps, const int16_t *w,
                                size_t w_stride, const int32_t *init, const float *multiplier, uint8_t *y, size_t n,
                                const skv_requant *r) {
    const __m256 lo = _mm256_set1_ps((float)(r->clamp_lo - r->y_zero_point));
    const __m256 hi = _mm256_set1_ps((float)(r->clamp_hi - r->y_zero_point));
    const __m256i zero = _mm256_set1_epi32(r->y_zero_point);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i low = _mm256_loadu_si256((const void *)(init + i));
        __m256i high = _mm256_loadu_si256((const void *)(init + i + 8));
        const int16_t *v = w + 2 * i;
        SKV_UNROLL
        for (size_t p = 0; p < pairs; p++, v += 2 * w_stride) {
            const __m128i a = _mm_loadu_si128((const void *)(x[2 * p] + i));
            const __m128i b = _mm_loadu_si128((const void *)(x[2 * p + 1 < taps ? 2 * p + 1 : 2 * p] + i));
            low = add_pair(low, _mm_unpacklo_epi8(a, b), v);
            high = add_pair(high, _mm_unpackhi_epi8(a, b), v + 16);
        }
        low = round_eight(low, multiplier + i, lo, hi, zero);
        high = round_eight(high, multiplier + i + 8, lo, hi, zero);
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
        _mm_storeu_si128((void *)(y + i),
                         _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }
    for (; i < n; i += 8) { /* eight more, or those that are left, from a copy */
        const size_t here = n - i < 8 ? n - i : 8;
        uint8_t a[8] = {0}, b[8] = {0}, out[16];
        int32_t first[8] = {0};
        float by[8] = {0};
        memcpy(first, init + i, here * sizeof *first);
        memcpy(by, multiplier + i, here * sizeof *by);
        __m256i sum = _mm256_loadu_si256((const void *)first);
        const int16_t *v = w + 2 * i;
        for (size_t p = 0; p < pairs; p++, v += 2 * w_stride) {
            int16_t weights[16] = {0};
            memcpy(a, x[2 * p] + i, here);
            memcpy(b, x[2 * p + 1 < taps ? 2 * p + 1 : 2 * p] + i, here);
            memcpy(weights, v, here * 2 * sizeof *weights);
            sum = add_pair(sum, _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)a), _mm_loadl_epi64((const void *)b)),
                           weights);
        }
        const __m256i bytes = round_eight(sum, by, lo, hi, zero);
        const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
        _mm_storeu_si128((void *)out, _mm_packus_epi16(words, words));
        memcpy(y + i, out, here);
    }
}

static void depthwise_bytes(const uint8_t *const *x, size_t taps, const int16_t *w, size_t w_stride,
                            const int32_t *init, const float *multiplier, uint8_t *y, size_t n, const skv_requant *r) {
    if (taps == 9)
        depthwise_pairs(x, 5, 9, w, w_stride, init, multiplier, y, n, r);
    else
        depthwise_pairs(x, (taps + 1) / 2, taps, w, w_stride, init, multiplier, y, n, r);
}

#define LOOPS skv_q8_loops_avx2
#define OWN_DEPTHWISE_BYTES
#define OWN_ADD_TAPS
#define OWN_MAX
#include "kernels/int8/loops_body.h"
#endif
