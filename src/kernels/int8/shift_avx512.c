/* Tiles of 8 positions by 32 channels with weights that are powers of two on 512-bit registers. */
#if defined(__AVX512BW__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/shift.h"

enum { MR = 8, NR = 32 };
#define ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)

#include "kernels/int8/gemm_vector512.h"

static inline vector no_sum(void) { return _mm512_setzero_si512(); }
static inline vector sum_of(vector a, vector b) { return _mm512_add_epi32(a, b); }
static inline vector broadcast(int16_t x) { return _mm512_set1_epi32(x); }

static inline __attribute__((always_inline)) vector places(vector word, const int k) {
    /* the lowest four bits of each lane choose, of which the sign is one */
    return _mm512_permutexvar_epi32(_mm512_srli_epi32(word, (unsigned)(k * SKV_Q8_SHIFT_BITS)),
                                    _mm512_setr_epi32(32, 0, 1, 2, 3, 4, 5, 6, 32, 0, 1, 2, 3, 4, 5, 6));
}
/* All bits set where the weight is negative. */
static inline __attribute__((always_inline)) vector signs(vector word, const int k) {
    return _mm512_srai_epi32(_mm512_slli_epi32(word, (unsigned)(28 - k * SKV_Q8_SHIFT_BITS)), 31);
}
static inline vector shifted(vector x, vector by) { return _mm512_sllv_epi32(x, by); }
static inline vector plus_minus(vector acc, vector x, vector signs) {
    return _mm512_add_epi32(acc, _mm512_sub_epi32(_mm512_xor_si512(x, signs), signs));
}

#include "kernels/int8/gemm_store512.h"
#include "kernels/int8/gemm_widen512.h"
#include "kernels/int8/shift_tile.h"

static const skv_q8_gemm gemm = {.mr = MR,
                                 .nr = NR,
                                 .k_group = SKV_Q8_SHIFT_GROUP,
                                 .wide = true,
                                 .bits = SKV_Q8_SHIFT_PLACE,
                                 .tile = tile,
                                 .constants = fill_constants,
                                 .copy = copy};
const skv_q8_gemm *skv_q8_shift_avx512(void) { return &gemm; }
#endif
