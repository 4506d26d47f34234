/* The sparse loops with AVX-512. */
#include <immintrin.h>

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
#include "kernels/sparse/loops.h"
