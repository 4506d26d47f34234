/* Tiles of 4 positions by 16 channels with weights of few bits on 256-bit registers: a step's codes are moved to the
 * top of 16-bit lanes and down again, which extends the sign, and vpmaddwd is exact. */
#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/few.h"

enum { MR = 4, NR = 16, LANE = 16 };
#define ROWS(X) X(1) X(2) X(3) X(4)

#include "kernels/int8/gemm_vector256.h"

static inline vector no_sum(void) { return _mm256_setzero_si256(); }
static inline vector sum_of(vector a, vector b) { return _mm256_add_epi32(a, b); }
static inline vector multiply_add(vector acc, vector x, vector w) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

static inline __attribute__((always_inline)) vector codes(vector word, const int step, const int bits) {
    vector v = step ? _mm256_slli_epi16(word, (step * bits)) : word;
    v = _mm256_srai_epi16(v, (LANE - bits));
    return bits == 1 ? _mm256_or_si256(v, _mm256_set1_epi16(1)) : v;
}

static inline vector settle(vector acc, const int bits, int32_t factor) {
    (void)bits;
    return _mm256_mullo_epi32(acc, _mm256_set1_epi32(factor));
}

#include "kernels/int8/gemm_store256.h"
#include "kernels/int8/few_tile.h"

#define GEMM(bits_)                                                                                      \
    {                                                                                                    \
        .mr = MR, .nr = NR, .k_group = 32 / (bits_), .wide = true, .bits = (bits_), .tile = tile##bits_, \
                                                                                                         \
        .copy = copy,                                                                                    \
    }
static const skv_q8_gemm gemms[] = {GEMM(1), GEMM(2), GEMM(4)};
const skv_q8_gemm *skv_q8_few_avx2(int bits) { return &gemms[bits / 2]; }
#endif
