/* The products of the attention kernel with AVX-512. */
#include <immintrin.h>

typedef __m512 vec;
enum { LANES = 16 };
#define vec_load(p)      _mm512_loadu_ps(p)
#define vec_store(p, v)  _mm512_storeu_ps(p, v)
#define vec_all(x)       _mm512_set1_ps(x)
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_sum(a, b)    _mm512_add_ps(a, b)
#define ATTENTION_LOOPS  skv_attention_loops_avx512
#include "kernels/attention_loops.h"
