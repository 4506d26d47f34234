/* Tiles of 12 positions by 32 channels with weights of few bits on 512-bit registers: a step's codes are moved to
 * the top of 16-bit lanes and down again, which extends the sign, and vpmaddwd is exact. */
#if defined(__AVX512BW__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/few.h"

enum { MR = 12, NR = 32, LANE = 16 };
#define ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

#include "kernels/int8/gemm_vector512.h"

static inline vector no_sum(void) { return _mm512_setzero_si512(); }
static inline vector sum_of(vector a, vector b) { return _mm512_add_epi32(a, b); }
static inline vector multiply_add(vector acc, vector x, vector w) {
    return _mm512_add_epi32(acc, _mm512_madd_epi16(x, w));
}

static inline __attribute__((always_inline)) vector codes(vector word, const int step, const int bits) {
    vector v = step ? _mm512_slli_epi16(word, (uint8_t)(step * bits)) : word;
    v = _mm512_srai_epi16(v, (uint8_t)(LANE - bits));
    return bits == 1 ? _mm512_or_si512(v, _mm512_set1_epi16(1)) : v;
}

static inline vector settle(vector acc, const int bits, int32_t factor) {
    (void)bits;
    return _mm512_mullo_epi32(acc, _mm512_set1_epi32(factor));
}

#include "kernels/int8/gemm_store512.h"
#include "kernels/int8/few_tile.h"
#include "kernels/int8/gemm_widen512.h"

#define GEMM(bits_)                                                                                      \
    {                                                                                                    \
        .mr = MR, .nr = NR, .k_group = 32 / (bits_), .wide = true, .bits = (bits_), .tile = tile##bits_, \
        .constants = fill_constants, .copy = copy,                                                       \
    }
static const skv_q8_gemm gemms[] = {GEMM(1), GEMM(2), GEMM(4)};
const skv_q8_gemm *skv_q8_few_avx512(int bits) { return &gemms[bits / 2]; }
#endif
