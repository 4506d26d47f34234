/* The loops of sparse integer layers with vpdpbusd: the bytes of four lines of the panel are interleaved, so that an
 * int32 has those of one position, and serve four output channels. */
#if defined(__AVX512VNNI__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/sparse.h"

enum { AT_A_TIME = 8 };

/* Four blocks of 16 rows side by side, each turned in a lane of its own. */
static void turn(const uint8_t *const *rows, size_t pieces, uint8_t *panel) {
    for (size_t p = 0; p < pieces; p++, panel += SKV_Q8_TURNED * SKV_Q8_LINE) {
        __m512i a[16], b[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const size_t at = p * SKV_Q8_TURNED;
            __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)(rows[i] + at)));
            v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)(rows[i + 16] + at)), 1);
            v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)(rows[i + 32] + at)), 2);
            a[i] = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)(rows[i + 48] + at)), 3);
        }
#pragma GCC unroll 2
        for (int round = 0; round < 2; round++) {
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) {
                b[2 * i] = _mm512_unpacklo_epi8(a[i], a[i + 8]);
                b[2 * i + 1] = _mm512_unpackhi_epi8(a[i], a[i + 8]);
            }
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) {
                a[2 * i] = _mm512_unpacklo_epi8(b[i], b[i + 8]);
                a[2 * i + 1] = _mm512_unpackhi_epi8(b[i], b[i + 8]);
            }
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) _mm512_storeu_si512(panel + (size_t)i * SKV_Q8_LINE, a[i]);
    }
}

/* Lane l of the sums j of a channel has positions 16 l + 4 j to 16 l + 4 j + 3. */
static inline void store(const __m512i *acc, size_t apart, int32_t *to, size_t stride) {
    const __m512i a = _mm512_unpacklo_epi32(acc[0], acc[apart]), b = _mm512_unpackhi_epi32(acc[0], acc[apart]);
    const __m512i c = _mm512_unpacklo_epi32(acc[2 * apart], acc[3 * apart]),
                  d = _mm512_unpackhi_epi32(acc[2 * apart], acc[3 * apart]);
    const __m512i t[4] = {_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c), _mm512_unpacklo_epi64(b, d),
                          _mm512_unpackhi_epi64(b, d)};
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        int32_t *at = to + i * stride;
        _mm_storeu_si128((__m128i *)(void *)at, _mm512_castsi512_si128(t[i]));
        _mm_storeu_si128((__m128i *)(void *)(at + 16 * stride), _mm512_extracti32x4_epi32(t[i], 1));
        _mm_storeu_si128((__m128i *)(void *)(at + 32 * stride), _mm512_extracti32x4_epi32(t[i], 2));
        _mm_storeu_si128((__m128i *)(void *)(at + 48 * stride), _mm512_extracti32x4_epi32(t[i], 3));
    }
}

static void block(const skv_q8_sparse_block *b) {
    __m512i acc[SKV_Q8_BLOCK * 4];
    const char *w = b->w;
    const uint32_t *at = b->at;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) acc[i] = _mm512_set1_epi32(b->init[i / 4]);
    for (size_t s = 0; s < b->steps; s++, at += SKV_Q8_STEP, w += SKV_Q8_BLOCK * SKV_Q8_STEP) {
        const __m512i x0 = _mm512_loadu_si512(b->panel + at[0]), x1 = _mm512_loadu_si512(b->panel + at[1]),
                      x2 = _mm512_loadu_si512(b->panel + at[2]), x3 = _mm512_loadu_si512(b->panel + at[3]);
        const __m512i l01 = _mm512_unpacklo_epi8(x0, x1), h01 = _mm512_unpackhi_epi8(x0, x1);
        const __m512i l23 = _mm512_unpacklo_epi8(x2, x3), h23 = _mm512_unpackhi_epi8(x2, x3);
        const __m512i x[4] = {_mm512_unpacklo_epi16(l01, l23), _mm512_unpackhi_epi16(l01, l23),
                              _mm512_unpacklo_epi16(h01, h23), _mm512_unpackhi_epi16(h01, h23)};
#pragma GCC unroll 4
        for (int r = 0; r < SKV_Q8_BLOCK; r++) {
            int32_t four;
            memcpy(&four, w + r * SKV_Q8_STEP, sizeof four);
            const __m512i v = _mm512_set1_epi32(four);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) acc[r * 4 + j] = _mm512_dpbusd_epi32(acc[r * 4 + j], x[j], v);
        }
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) store(acc + j, 4, b->sum + 4 * j * b->stride, b->stride);
}

static inline __m512i picked(__m512i acc, const char *x, __m512i pick, __m512i w) {
    const __m512i four = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)x));
    return _mm512_dpbusd_epi32(acc, _mm512_shuffle_epi8(four, pick), w);
}

static inline __attribute__((always_inline)) void pick_rows(const skv_q8_pick_block *b, size_t p, const int rows) {
    __m512i acc[AT_A_TIME];
    const size_t apart = b->row_bytes;
    const char *from = b->rows + p * apart;
    const uint8_t *pick = b->pick;
    const char *w = b->w;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) acc[r] = _mm512_loadu_si512(b->init);
    for (size_t s = 0; s < b->steps; s++, pick += 64, w += 64) {
        const char *x = from + b->at[s];
        const __m512i choice = _mm512_loadu_si512(pick), v = _mm512_loadu_si512(w);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) acc[r] = picked(acc[r], x + (size_t)r * apart, choice, v);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) _mm512_storeu_si512(b->sum + (p + (size_t)r) * b->stride, acc[r]);
}

static void pick(const skv_q8_pick_block *b) {
    size_t p = 0;
    for (; p + AT_A_TIME <= b->count; p += AT_A_TIME) pick_rows(b, p, AT_A_TIME);
    for (; p < b->count; p++) pick_rows(b, p, 1);
}

const skv_q8_sparse_loops skv_q8_sparse_vnni = {.lanes = 16,
                                                .turn = turn,
                                                .block = block,
                                                .pick = pick,
                                                .step = 14,
                                                .piece = 110,
                                                .out = 40,
                                                .dense = 44,
                                                .picked = 85};
#endif
