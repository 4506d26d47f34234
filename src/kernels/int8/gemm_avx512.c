/* Tiles of 12 positions by 32 channels without VNNI: 16-bit numbers and vpmaddwd, which is exact. (vpmaddubsw on bytes
 * would saturate.) */
#if defined(__AVX512BW__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/int8.h"

enum { MR = 12, NR = 32 };
#define ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

#include "kernels/int8/gemm_vector512.h"

static inline vector multiply_add(vector acc, vector x, vector w) {
    return _mm512_add_epi32(acc, _mm512_madd_epi16(x, w));
}

#include "kernels/int8/gemm_store512.h"
#include "kernels/int8/gemm_tile.h"
#include "kernels/int8/gemm_widen512.h"

static const skv_q8_gemm gemm = {
    .mr = MR, .nr = NR, .k_group = 2, .wide = true, .tile = tile, .constants = fill_constants, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_avx512(void) { return &gemm; }
#endif
