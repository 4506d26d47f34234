/* Products of signs on 512-bit registers: bits are counted by a look-up of half bytes. */
#if defined(__AVX512BW__)
#include <immintrin.h>

#include "kernels/int8/xnor.h"

enum { LANES = 8, BLOCK = 32 };
#define SKV_XNOR_TARGET
#include "kernels/int8/xnor_vector512.h"

static inline vector add_bits(vector acc, vector a, vector b) {
    const vector half = _mm512_set1_epi8(15);
    const vector bits = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const vector v = _mm512_xor_si512(a, b);
    const vector low = _mm512_shuffle_epi8(bits, _mm512_and_si512(v, half));
    const vector high = _mm512_shuffle_epi8(bits, _mm512_and_si512(_mm512_srli_epi16(v, 4), half));
    return _mm512_add_epi64(acc, _mm512_sad_epu8(_mm512_add_epi8(low, high), _mm512_setzero_si512()));
}

#include "kernels/int8/xnor_tile.h"

const skv_xnor_loops skv_xnor_loops_avx512 = {tile, pack};
#endif
