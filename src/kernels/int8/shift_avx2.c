/* Tiles of 4 positions by 16 channels with weights that are powers of two on 256-bit registers. */
#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/shift.h"

enum { MR = 4, NR = 16 };
#define ROWS(X) X(1) X(2) X(3) X(4)

#include "kernels/int8/gemm_vector256.h"

static inline vector no_sum(void) { return _mm256_setzero_si256(); }
static inline vector sum_of(vector a, vector b) { return _mm256_add_epi32(a, b); }
static inline vector broadcast(int16_t x) { return _mm256_set1_epi32(x); }

static inline __attribute__((always_inline)) vector places(vector word, const int k) {
    /* the lowest three bits of each lane choose */
    return _mm256_permutevar8x32_epi32(_mm256_setr_epi32(32, 0, 1, 2, 3, 4, 5, 6),
                                       _mm256_srli_epi32(word, k * SKV_Q8_SHIFT_BITS));
}
/* Negative where the weight is, and never 0. */
static inline __attribute__((always_inline)) vector signs(vector word, const int k) {
    return _mm256_or_si256(_mm256_slli_epi32(word, 28 - k * SKV_Q8_SHIFT_BITS), _mm256_set1_epi32(1));
}
static inline vector shifted(vector x, vector by) { return _mm256_sllv_epi32(x, by); }
static inline vector plus_minus(vector acc, vector x, vector signs) {
    return _mm256_add_epi32(acc, _mm256_sign_epi32(x, signs));
}

#include "kernels/int8/gemm_store256.h"
#include "kernels/int8/shift_tile.h"

static const skv_q8_gemm gemm = {.mr = MR,
                                 .nr = NR,
                                 .k_group = SKV_Q8_SHIFT_GROUP,
                                 .wide = true,
                                 .bits = SKV_Q8_SHIFT_PLACE,
                                 .tile = tile,
                                 .copy = copy};
const skv_q8_gemm *skv_q8_shift_avx2(void) { return &gemm; }
#endif
