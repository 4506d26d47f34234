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

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    int16_t *to = (int16_t *)row + at;
    const __m512i z = _mm512_set1_epi16((short)zero);
    for (size_t i = 0; i < n; i += 32) {
        const __mmask32 m = n - i >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << (n - i)) - 1;
        const __m512i v = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(m, x + i));
        _mm512_mask_storeu_epi16(to + i, m, _mm512_sub_epi16(v, z));
    }
}

static const skv_q8_gemm gemm = {
    .mr = MR, .nr = NR, .k_group = 2, .wide = true, .tile = tile, .constants = fill_constants, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_avx512(void) { return &gemm; }
#endif
