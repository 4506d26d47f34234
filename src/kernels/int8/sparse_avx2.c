/* The loops of sparse integer layers on 256-bit registers: pairs of lines, widened to 16 bits, with vpmaddwd. */
#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/sparse.h"

enum { AT_ONCE = 16, AT_A_TIME = 8 };

static inline __m256i pair_at(const char *w) {
    int32_t v;
    memcpy(&v, w, sizeof v);
    return _mm256_set1_epi32(v);
}

/* Four sums of each of eight positions; lane by lane the registers hold positions 0 to 3 and 4 to 7. */
static inline void store(const __m256i *acc, int32_t *to, size_t stride) {
    const __m256i a = _mm256_unpacklo_epi32(acc[0], acc[1]), b = _mm256_unpackhi_epi32(acc[0], acc[1]);
    const __m256i c = _mm256_unpacklo_epi32(acc[2], acc[3]), d = _mm256_unpackhi_epi32(acc[2], acc[3]);
    const __m256i t[4] = {_mm256_unpacklo_epi64(a, c), _mm256_unpackhi_epi64(a, c), _mm256_unpacklo_epi64(b, d),
                          _mm256_unpackhi_epi64(b, d)};
    for (size_t i = 0; i < 4; i++) {
        _mm_storeu_si128((__m128i *)(void *)(to + i * stride), _mm256_castsi256_si128(t[i]));
        _mm_storeu_si128((__m128i *)(void *)(to + (i + 4) * stride), _mm256_extracti128_si256(t[i], 1));
    }
}

static void block(const skv_q8_sparse_block *b) {
    for (size_t p = 0; p < SKV_Q8_LINE; p += AT_ONCE) {
        const char *w = b->w;
        const uint32_t *at = b->at;
        __m256i low[SKV_Q8_BLOCK], high[SKV_Q8_BLOCK];
        for (int r = 0; r < SKV_Q8_BLOCK; r++) low[r] = high[r] = _mm256_set1_epi32(b->init[r]);
        for (size_t pair = 0; pair < 2 * b->steps; pair++, at += 2, w += SKV_Q8_BLOCK * 2 * sizeof(int16_t)) {
            const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(b->panel + at[0] + p)),
                          y = _mm_loadu_si128((const __m128i *)(const void *)(b->panel + at[1] + p));
            const __m256i l = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(x, y)),
                          h = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(x, y));
#pragma GCC unroll 4
            for (int r = 0; r < SKV_Q8_BLOCK; r++) {
                const __m256i v = pair_at(w + (size_t)r * 2 * sizeof(int16_t));
                low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(l, v));
                high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(h, v));
            }
        }
        store(low, b->sum + p * b->stride, b->stride);
        store(high, b->sum + (p + 8) * b->stride, b->stride);
    }
}

static inline __m256i picked(__m256i acc, const char *x, __m256i pick, __m256i w) {
    const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)x));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_shuffle_epi8(twice, pick), w));
}

/* Sums of `rows` positions in registers, their addresses from three. */
static inline __attribute__((always_inline)) void pick_rows(const skv_q8_pick_block *b, size_t p, const int rows) {
    __m256i acc[AT_A_TIME];
    const size_t apart = b->row_bytes;
    const char *from = b->rows + p * apart;
    const uint8_t *pick = b->pick;
    const char *w = b->w;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) acc[r] = _mm256_loadu_si256((const __m256i *)(const void *)b->init);
    for (size_t s = 0; s < b->steps; s++, pick += 32, w += 32) {
        const char *x = from + b->at[s];
        const __m256i choice = _mm256_loadu_si256((const __m256i *)(const void *)pick),
                      v = _mm256_loadu_si256((const __m256i *)(const void *)w);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) acc[r] = picked(acc[r], x + (size_t)r * apart, choice, v);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        _mm256_storeu_si256((__m256i *)(void *)(b->sum + (p + (size_t)r) * b->stride), acc[r]);
}

static void pick(const skv_q8_pick_block *b) {
    size_t p = 0;
    for (; p + AT_A_TIME <= b->count; p += AT_A_TIME) pick_rows(b, p, AT_A_TIME);
    for (; p < b->count; p++) pick_rows(b, p, 1);
}

const skv_q8_sparse_loops skv_q8_sparse_avx2 = {.wide = true,
                                                .lanes = 8,
                                                .turn = skv_q8_turn_by_16,
                                                .block = block,
                                                .pick = pick,
                                                .step = 90,
                                                .piece = 90,
                                                .out = 50,
                                                .dense = 280,
                                                .picked = 115};
#endif
