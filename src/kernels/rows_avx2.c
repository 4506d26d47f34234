/* The row loops, compiled for AVX2. */
#include <stdint.h>

#include "kernels/vector256.h"

#define vec_max(a, b) _mm256_max_ps(a, b)

/* The first n lanes. */
static inline __m256i lanes(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vec vec_first(const float *p, int64_t n, vec otherwise) {
    const __m256i mask = lanes(n);
    return _mm256_blendv_ps(otherwise, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}

/* In halves: stores by a mask take some twenty cycles on Zen. */
static inline void vec_store_first(float *p, vec v, int64_t n) {
    __m128 h = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, h);
        h = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, h);
        h = _mm_movehl_ps(h, h);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, h);
}

static inline vec vec_power(vec t) {
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23), one = _mm256_set1_epi32(0x3F800000);
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_add_epi32(n, one), _mm256_setzero_si256()));
}

static inline float vec_largest(vec v) {
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

static inline float vec_total(vec v) {
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}

#define ROW_VECTORS
#define ROW_LOOPS skv_row_loops_avx2
#include "kernels/rows_loops.h"
