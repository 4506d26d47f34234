/* The sparse loops with AVX-512. */
#include <immintrin.h>
#include <stdbool.h>

typedef __m512 vec;
enum { LANES = 16 };
#define FIRST(n)                ((__mmask16)((1u << (n)) - 1u))
#define vec_load(p)             _mm512_loadu_ps(p)
#define vec_store(p, v)         _mm512_storeu_ps(p, v)
#define vec_load_some(p, n)     _mm512_maskz_loadu_ps(FIRST((n) > 0 ? (n) : 0), p)
#define vec_store_some(p, n, v) _mm512_mask_storeu_ps(p, FIRST(n), v)
#define vec_all(x)              _mm512_set1_ps(x)
#define vec_fma(a, b, c)        _mm512_fmadd_ps(a, b, c)
#define vec_add(a, b)           _mm512_add_ps(a, b)
#define vec_max(a, b)           _mm512_max_ps(a, b)
#define vec_min(a, b)           _mm512_min_ps(a, b)
#define vec_even(a, b)          _mm512_permutex2var_ps(a, EVEN, b)
#define EVEN                    _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define BLOCK_VECTORS           4
#define UNARY_LOOP              skv_unary_avx512
#define SPARSE_LOOPS            skv_sparse_loops_avx512
#define vec_four(p)             _mm512_broadcast_f32x4(_mm_loadu_ps(p))

#include "kernels/sparse/sparse.h"
#include "kernels/unroll.h"

typedef __m512i words;
#define words_load(p) _mm512_loadu_si512(p)

typedef struct looked {
    vec low, high; /* entries 0 to 15 and 16 to 31; low alone: entry 0 in all lanes */
    const float *all;
} looked;

SKV_INLINE looked look_at(const float *table, skv_sparse_lookup lookup) {
    const bool linear = lookup == SKV_LOOKUP_LINEAR;
    return (looked){linear ? vec_all(table[0]) : vec_load(table), vec_load(table + LANES), table};
}

/* Permutations read no more bits of an index than they have entries. */
SKV_INLINE vec look_up(const looked *t, skv_sparse_lookup lookup, words w, int shift) {
    const words at = _mm512_srli_epi32(w, (unsigned)shift), byte = _mm512_set1_epi32(255);
    switch (lookup) {
    case SKV_LOOKUP_16: return _mm512_permutexvar_ps(at, t->low);
    case SKV_LOOKUP_32: return _mm512_permutex2var_ps(t->low, at, t->high);
    case SKV_LOOKUP_LINEAR: return vec_add(t->low, _mm512_cvtepi32_ps(_mm512_and_si512(at, byte)));
    default: return _mm512_i32gather_ps(_mm512_and_si512(at, byte), t->all, sizeof(float));
    }
}

#include "kernels/sparse/loops.h"
