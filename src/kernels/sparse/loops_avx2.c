/* The sparse loops with AVX2. */
#include <immintrin.h>
#include <stdbool.h>
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
#define vec_four(p)             _mm256_broadcast_ps((const __m128 *)(const void *)(p))

#include "kernels/sparse/sparse.h"
#include "kernels/unroll.h"

typedef __m256i words;
#define words_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))

typedef struct looked {
    vec low, high; /* entries 0 to 7 and 8 to 15; low alone: entry 0 in all lanes */
    const float *all;
} looked;

SKV_INLINE looked look_at(const float *table, skv_sparse_lookup lookup) {
    const bool linear = lookup == SKV_LOOKUP_LINEAR;
    return (looked){linear ? vec_all(table[0]) : vec_load(table), vec_load(table + LANES), table};
}

/* A permutation reads the lowest three bits of an index; the fourth, moved to the sign, chooses the half of the table.
 * */
SKV_INLINE vec look_up(const looked *t, skv_sparse_lookup lookup, words w, int shift) {
    const words at = _mm256_srli_epi32(w, shift), byte = _mm256_set1_epi32(255);
    switch (lookup) {
    case SKV_LOOKUP_16:
        return _mm256_blendv_ps(_mm256_permutevar8x32_ps(t->low, at), _mm256_permutevar8x32_ps(t->high, at),
                                _mm256_castsi256_ps(_mm256_slli_epi32(w, 28 - shift)));
    case SKV_LOOKUP_LINEAR: return vec_add(t->low, _mm256_cvtepi32_ps(_mm256_and_si256(at, byte)));
    default: return _mm256_i32gather_ps(t->all, _mm256_and_si256(at, byte), sizeof(float));
    }
}

#include "kernels/sparse/loops.h"
