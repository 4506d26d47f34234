/* Products of signs on 256-bit registers: bits are counted by a look-up of half bytes. */
#if defined(__AVX2__)
#include <immintrin.h>

#include "kernels/int8/xnor.h"

enum { LANES = 4, BLOCK = 8 };
#define SKV_XNOR_TARGET
typedef __m256i vector;

static inline vector no_bits(void) { return _mm256_setzero_si256(); }
static inline vector load_vector(const uint64_t *p) { return _mm256_loadu_si256((const void *)p); }
static inline vector broadcast(uint64_t v) { return _mm256_set1_epi64x((long long)v); }
static inline vector add_bits(vector acc, vector a, vector b) {
    const vector half = _mm256_set1_epi8(15);
    const vector bits = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                         2, 3, 2, 3, 3, 4);
    const vector v = _mm256_xor_si256(a, b);
    const vector low = _mm256_shuffle_epi8(bits, _mm256_and_si256(v, half));
    const vector high = _mm256_shuffle_epi8(bits, _mm256_and_si256(_mm256_srli_epi16(v, 4), half));
    return _mm256_add_epi64(acc, _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256()));
}
static inline void put(int32_t *to, vector v) {
    const vector order = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    _mm_storeu_si128((void *)to, _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(v, order)));
}

#include "kernels/int8/xnor_tile.h"

static void pack(const uint8_t *x, size_t n, uint64_t *to) {
    const vector zero = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const uint32_t low =
            (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(x + i)), zero));
        const uint32_t high =
            (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(x + i + 32)), zero));
        *to++ = (uint64_t)high << 32 | low;
    }
    if (i < n) skv_xnor_loops_scalar.pack(x + i, n - i, to);
}

const skv_xnor_loops skv_xnor_loops_avx2 = {tile, pack};
#endif
