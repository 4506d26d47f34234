/* Tiles of 12 positions by 32 channels with vpdpbusd and weights of few bits: a step leaves codes in the high bits of
 * each byte, which is 16 or 64 times their value. */
#if defined(__AVX512VNNI__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/few.h"

enum { MR = 12, NR = 32, LANE = 8 };
#define ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

#include "kernels/int8/gemm_vector512.h"

static inline vector no_sum(void) { return _mm512_setzero_si512(); }
static inline vector sum_of(vector a, vector b) { return _mm512_add_epi32(a, b); }
static inline vector multiply_add(vector acc, vector x, vector w) { return _mm512_dpbusd_epi32(acc, x, w); }

static inline __attribute__((always_inline)) vector codes(vector word, const int step, const int bits) {
    const vector v = step ? _mm512_slli_epi16(word, (uint8_t)(step * bits)) : word;
    if (bits == 4) return _mm512_and_si512(v, _mm512_set1_epi8((char)0xf0));
    if (bits == 2) return _mm512_and_si512(v, _mm512_set1_epi8((char)0xc0));
    /* 64 or -64: (v & 0x80) | 0x40 */
    return _mm512_ternarylogic_epi32(v, _mm512_set1_epi8((char)0x80), _mm512_set1_epi8(0x40), 0xea);
}

static inline vector settle(vector acc, const int bits, int32_t factor) {
    return _mm512_mullo_epi32(_mm512_srai_epi32(acc, bits == 4 ? 4 : 6), _mm512_set1_epi32(factor));
}

#include "kernels/int8/gemm_store512.h"
#include "kernels/int8/few_tile.h"
#include "kernels/int8/gemm_copy512.h"

#define GEMM(bits_)                                                                        \
    {                                                                                      \
        .mr = MR, .nr = NR, .k_group = 32 / (bits_), .bits = (bits_), .tile = tile##bits_, \
        .constants = fill_constants, .copy = copy,                                         \
    }
static const skv_q8_gemm gemms[] = {GEMM(1), GEMM(2), GEMM(4)};
const skv_q8_gemm *skv_q8_few_vnni(int bits) { return &gemms[bits / 2]; }
#endif
