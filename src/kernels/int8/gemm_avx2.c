/* Tiles of 6 positions by 16 channels on 256-bit registers: 16-bit numbers and vpmaddwd, which is exact. */
#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/int8.h"

enum { MR = 6, NR = 16 };
#define ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)

#include "kernels/int8/gemm_vector256.h"

static inline vector multiply_add(vector acc, vector x, vector w) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

#include "kernels/int8/gemm_store256.h"
#include "kernels/int8/gemm_tile.h"

static const skv_q8_gemm gemm = {.mr = MR, .nr = NR, .k_group = 2, .wide = true, .tile = tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_avx2(void) { return &gemm; }
#endif
