/* Tiles of 12 positions by 32 channels without VNNI: 16-bit numbers and vpmaddwd, which is exact. (vpmaddubsw on bytes
 * would saturate.) */
#if defined(__AVX512BW__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/int8.h"

enum { MR = 12, NR = 32 };

#include "kernels/int8/gemm_store512.h"

static inline __attribute__((always_inline)) void body(const skv_q8_tile *t, const int rows) {
    __m512i acc[MR][2];
    const __m512i i0 = _mm512_loadu_si512(t->init), i1 = _mm512_loadu_si512(t->init + 16);
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        acc[r][0] = i0;
        acc[r][1] = i1;
    }
    const int16_t *b = t->b;
    const void *const *a = t->a;
    for (size_t tap = 0; tap < t->taps; tap++, a += rows) {
        for (size_t g = 0; g < t->groups; g++, b += 2 * NR) {
            const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + NR);
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                int32_t pair;
                memcpy(&pair, (const int16_t *)a[r] + 2 * g, sizeof pair);
                const __m512i v = _mm512_set1_epi32(pair);
                acc[r][0] = _mm512_add_epi32(acc[r][0], _mm512_madd_epi16(v, b0));
                acc[r][1] = _mm512_add_epi32(acc[r][1], _mm512_madd_epi16(v, b1));
            }
        }
    }
    store(t, rows, acc);
}

#define CASE(n) \
    static __attribute__((noinline)) void tile_##n(const skv_q8_tile *t) { body(t, n); }
CASE(1)
CASE(2)
CASE(3)
CASE(4)
CASE(5)
CASE(6)
CASE(7)
CASE(8)
CASE(9)
CASE(10)
CASE(11)
CASE(12)

    static void tile(const skv_q8_tile *t) {
    static void (*const by_rows[])(const skv_q8_tile *) = {tile_1, tile_2, tile_3, tile_4,  tile_5,  tile_6,
                                                           tile_7, tile_8, tile_9, tile_10, tile_11, tile_12};
    by_rows[t->rows - 1](t);
}

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    int16_t *to = (int16_t *)row + at;
    const __m512i z = _mm512_set1_epi16((short)zero);
    for (size_t i = 0; i < n; i += 32) {
        const __mmask32 m = n - i >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << (n - i)) - 1;
        const __m512i v = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(m, x + i));
        _mm512_mask_storeu_epi16(to + i, m, _mm512_sub_epi16(v, z));
    }
}

static const skv_q8_gemm gemm = {.mr = MR, .nr = NR, .k_group = 2, .wide = true, .tile = tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_avx512(void) { return &gemm; }
#endif
