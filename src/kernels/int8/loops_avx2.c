/* The integer loops on 256-bit registers. The products of depthwise convolutions take two taps at a time: numbers of 16
 * bits side by side are multiplied and added in pairs. */
#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/int8.h"
#include "kernels/unroll.h"

/* Of 16 channels. Sums stand as the halves of each 128 bits until they are dealt out at the end. */
SKV_INLINE void sum_sixteen(const uint8_t *const *x, const size_t taps, const int16_t *w, size_t w_stride,
                            const int32_t *init, int32_t *total, size_t i) {
    __m256i low = _mm256_setzero_si256(), high = low;
    SKV_UNROLL
    for (size_t t = 0; t < taps; t += 2) {
        const bool pair = t + 1 < taps;
        const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)(x[t] + i)));
        const __m256i u = _mm256_loadu_si256((const void *)(w + t * w_stride + i));
        __m256i b = _mm256_setzero_si256(), v = b;
        if (pair) {
            b = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)(x[t + 1] + i)));
            v = _mm256_loadu_si256((const void *)(w + (t + 1) * w_stride + i));
        }
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), _mm256_unpacklo_epi16(u, v)));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), _mm256_unpackhi_epi16(u, v)));
    }
    const __m256i front = _mm256_permute2x128_si256(low, high, 0x20), back = _mm256_permute2x128_si256(low, high, 0x31);
    _mm256_storeu_si256((void *)(total + i), _mm256_add_epi32(_mm256_loadu_si256((const void *)(init + i)), front));
    _mm256_storeu_si256((void *)(total + i + 8),
                        _mm256_add_epi32(_mm256_loadu_si256((const void *)(init + i + 8)), back));
}

SKV_INLINE void sum_eight(const uint8_t *const *x, const size_t taps, const int16_t *w, size_t w_stride,
                          const int32_t *init, int32_t *total, size_t i) {
    __m256i sum = _mm256_loadu_si256((const void *)(init + i));
    for (size_t t = 0; t < taps; t++) {
        const __m256i a = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(x[t] + i)));
        const __m256i u = _mm256_cvtepi16_epi32(_mm_loadu_si128((const void *)(w + t * w_stride + i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, u)); /* the upper half of a is 0 */
    }
    _mm256_storeu_si256((void *)(total + i), sum);
}

/* The last channels are computed again with those in front of them where they do not fill a vector: the results are the
 * same, and nothing is read or written beyond the end. */
SKV_INLINE void sum_all(const uint8_t *const *x, const size_t taps, const int16_t *w, size_t w_stride,
                        const int32_t *init, int32_t *total, size_t n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) sum_sixteen(x, taps, w, w_stride, init, total, i);
    if (n >= 16 && n - i > 8) {
        sum_sixteen(x, taps, w, w_stride, init, total, n - 16);
        return;
    }
    for (; i + 8 <= n; i += 8) sum_eight(x, taps, w, w_stride, init, total, i);
    if (n >= 8 && i < n) {
        sum_eight(x, taps, w, w_stride, init, total, n - 8);
        return;
    }
    for (; i < n; i++) {
        uint32_t sum = (uint32_t)init[i];
        for (size_t t = 0; t < taps; t++) sum += (uint32_t)(x[t][i] * w[t * w_stride + i]);
        total[i] = (int32_t)sum;
    }
}

static void depthwise(const uint8_t *const *x, size_t taps, const int16_t *w, size_t w_stride, const int32_t *init,
                      int32_t *total, size_t n) {
    if (taps == 9)
        sum_all(x, 9, w, w_stride, init, total, n);
    else
        sum_all(x, taps, w, w_stride, init, total, n);
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

/* What the loop over the channels of a depthwise convolution with bytes as output reads. */
typedef struct depthwise_call {
    const uint8_t *const *x;
    size_t taps;
    const int16_t *w;
    size_t w_stride;
    const int32_t *init;
    const float *multiplier;
    uint8_t *y;
    __m256 lo, hi;
    __m256i zero;
} depthwise_call;

/* The second tap of a pair; behind the last one there is none, and its weights are 0. */
SKV_INLINE const uint8_t *second(const depthwise_call *d, size_t pair) {
    return d->x[2 * pair + 1 < d->taps ? 2 * pair + 1 : 2 * pair];
}

/* pairs, here and below: a constant of the place it is inlined at, or as many as there are */
SKV_INLINE void bytes_sixteen(const depthwise_call *d, const size_t pairs, size_t i) {
    __m256i low = _mm256_loadu_si256((const void *)(d->init + i));
    __m256i high = _mm256_loadu_si256((const void *)(d->init + i + 8));
    const int16_t *v = d->w + 2 * i;
    SKV_UNROLL
    for (size_t p = 0; p < pairs; p++, v += 2 * d->w_stride) {
        const __m128i a = _mm_loadu_si128((const void *)(d->x[2 * p] + i));
        const __m128i b = _mm_loadu_si128((const void *)(second(d, p) + i));
        low = add_pair(low, _mm_unpacklo_epi8(a, b), v);
        high = add_pair(high, _mm_unpackhi_epi8(a, b), v + 16);
    }
    low = round_eight(low, d->multiplier + i, d->lo, d->hi, d->zero);
    high = round_eight(high, d->multiplier + i + 8, d->lo, d->hi, d->zero);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    _mm_storeu_si128((void *)(d->y + i),
                     _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

SKV_INLINE __m128i eight_bytes(__m256i v) {
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return _mm_packus_epi16(words, words);
}

SKV_INLINE void bytes_eight(const depthwise_call *d, const size_t pairs, size_t i) {
    __m256i sum = _mm256_loadu_si256((const void *)(d->init + i));
    const int16_t *v = d->w + 2 * i;
    SKV_UNROLL
    for (size_t p = 0; p < pairs; p++, v += 2 * d->w_stride) {
        const __m128i a = _mm_loadl_epi64((const void *)(d->x[2 * p] + i));
        const __m128i b = _mm_loadl_epi64((const void *)(second(d, p) + i));
        sum = add_pair(sum, _mm_unpacklo_epi8(a, b), v);
    }
    sum = round_eight(sum, d->multiplier + i, d->lo, d->hi, d->zero);
    _mm_storel_epi64((void *)(d->y + i), eight_bytes(sum));
}

/* Fewer than eight channels, from copies. */
static void bytes_few(const depthwise_call *d, size_t pairs, size_t n) {
    uint8_t out[16];
    int32_t first[8] = {0};
    float by[8] = {0};
    memcpy(first, d->init, n * sizeof *first);
    memcpy(by, d->multiplier, n * sizeof *by);
    __m256i sum = _mm256_loadu_si256((const void *)first);
    for (size_t p = 0; p < pairs; p++) {
        uint8_t bytes[16] = {0};
        int16_t weights[16] = {0};
        const uint8_t *a = d->x[2 * p], *b = second(d, p);
        for (size_t i = 0; i < n; i++) {
            bytes[2 * i] = a[i];
            bytes[2 * i + 1] = b[i];
        }
        memcpy(weights, d->w + 2 * p * d->w_stride, n * 2 * sizeof *weights);
        sum = add_pair(sum, _mm_loadu_si128((const void *)bytes), weights);
    }
    _mm_storeu_si128((void *)out, eight_bytes(round_eight(sum, by, d->lo, d->hi, d->zero)));
    memcpy(d->y, out, n);
}

/* The end as in sum_all. */
SKV_INLINE void bytes_all(const depthwise_call *d, const size_t pairs, size_t n) {
    size_t i = 0;
    if (n < 8) {
        bytes_few(d, pairs, n);
        return;
    }
    for (; i + 16 <= n; i += 16) bytes_sixteen(d, pairs, i);
    if (n >= 16 && n - i > 8) {
        bytes_sixteen(d, pairs, n - 16);
        return;
    }
    for (; i + 8 <= n; i += 8) bytes_eight(d, pairs, i);
    if (i < n) bytes_eight(d, pairs, n - 8);
}

static void depthwise_bytes(const uint8_t *const *x, size_t taps, const int16_t *w, size_t w_stride,
                            const int32_t *init, const float *multiplier, uint8_t *y, size_t n, const skv_requant *r) {
    const depthwise_call d = {.x = x,
                              .taps = taps,
                              .w = w,
                              .w_stride = w_stride,
                              .init = init,
                              .multiplier = multiplier,
                              .y = y,
                              .lo = _mm256_set1_ps((float)(r->clamp_lo - r->y_zero_point)),
                              .hi = _mm256_set1_ps((float)(r->clamp_hi - r->y_zero_point)),
                              .zero = _mm256_set1_epi32(r->y_zero_point)};
    if (taps == 9)
        bytes_all(&d, 5, n);
    else
        bytes_all(&d, (taps + 1) / 2, n);
}

#define LOOPS skv_q8_loops_avx2
#define OWN_DEPTHWISE_BYTES
#define OWN_DEPTHWISE
#define OWN_MAX
#include "kernels/int8/loops_body.h"
#endif
