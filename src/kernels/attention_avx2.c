/* The products of the attention kernel with AVX2. */
#include "kernels/vector256.h"

#define vec_sum(a, b)   _mm256_add_ps(a, b)
#define ATTENTION_LOOPS skv_attention_loops_avx2
#include "kernels/attention_loops.h"
