/* Tiles of 14 positions by 32 channels with vpdpbusd: four u8 * s8 products added to int32 at once, without saturation. */
#if defined(__AVX512VNNI__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/int8.h"

enum { MR = 14, NR = 32 };

#include "kernels/int8/gemm_store512.h"

static inline __m512i broadcast4(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

static inline __attribute__((always_inline)) void body(const skv_q8_tile *t, const int rows) {
    __m512i acc[MR][2];
    const __m512i i0 = _mm512_loadu_si512(t->init), i1 = _mm512_loadu_si512(t->init + 16);
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        acc[r][0] = i0;
        acc[r][1] = i1;
    }
    const int8_t *b = t->b;
    const void *const *a = t->a;
    for (size_t tap = 0; tap < t->taps; tap++, a += rows) {
        const uint8_t *x[MR];
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) x[r] = a[r];
        const size_t bytes = t->groups * 4;
        for (size_t k = 0; k < bytes; k += 4, b += 4 * NR) {
            const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
            _mm_prefetch((const char *)b + 1024, _MM_HINT_T0);
            _mm_prefetch((const char *)b + 1088, _MM_HINT_T0);
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                const __m512i v = broadcast4(x[r] + k);
                acc[r][0] = _mm512_dpbusd_epi32(acc[r][0], v, b0);
                acc[r][1] = _mm512_dpbusd_epi32(acc[r][1], v, b1);
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
CASE(11) CASE(12) CASE(13) CASE(14)

    static void tile(const skv_q8_tile *t) {
    static void (*const by_rows[])(const skv_q8_tile *) = {tile_1, tile_2, tile_3,  tile_4,  tile_5,  tile_6,  tile_7,
                                                           tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14};
    by_rows[t->rows - 1](t);
}

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    (void)zero;
    uint8_t *to = (uint8_t *)row + at;
    for (size_t i = 0; i < n; i += 64) {
        const __mmask64 m = n - i >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (n - i)) - 1;
        _mm512_mask_storeu_epi8(to + i, m, _mm512_maskz_loadu_epi8(m, x + i));
    }
}

static const skv_q8_gemm gemm = {.mr = MR, .nr = NR, .k_group = 4, .wide = false, .tile = tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_vnni(void) { return &gemm; }
#endif
