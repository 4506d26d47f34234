/* The products of the attention kernel with AVX2. */
#include <immintrin.h>

typedef __m256 vec;
enum { LANES = 8 };
#define vec_load(p)      _mm256_loadu_ps(p)
#define vec_store(p, v)  _mm256_storeu_ps(p, v)
#define vec_all(x)       _mm256_set1_ps(x)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_sum(a, b)    _mm256_add_ps(a, b)
#define ATTENTION_LOOPS  skv_attention_loops_avx2
#include "kernels/attention_loops.h"
