/* The sparse loops with AVX2. */
#include <immintrin.h>
#include <stdint.h>

typedef __m256 vec;
enum { LANES = 8 };

/* The first n lanes (none where n < 0). */
static inline __m256i first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline __m256 even(__m256 a, __m256 b) {
    const __m256 mixed = _mm256_shuffle_ps(a, b, 0x88); /* a0 a2 b0 b2 a4 a6 b4 b6 */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
#define vec_load(p)             _mm256_loadu_ps(p)
#define vec_store(p, v)         _mm256_storeu_ps(p, v)
#define vec_load_some(p, n)     _mm256_maskload_ps(p, first(n))
#define vec_store_some(p, n, v) _mm256_maskstore_ps(p, first(n), v)
#define vec_all(x)              _mm256_set1_ps(x)
#define vec_fma(a, b, c)        _mm256_fmadd_ps(a, b, c)
#define vec_add(a, b)           _mm256_add_ps(a, b)
#define vec_max(a, b)           _mm256_max_ps(a, b)
#define vec_min(a, b)           _mm256_min_ps(a, b)
#define vec_even(a, b)          even(a, b)
#define BLOCK_VECTORS           2
#define UNARY_LOOP              skv_unary_avx2
#define SPARSE_LOOPS            skv_sparse_loops_avx2
#include "kernels/sparse/loops.h"
