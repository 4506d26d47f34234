/* The products of the attention kernel with AVX-512. */
#include "kernels/vector512.h"

#define vec_sum(a, b)   _mm512_add_ps(a, b)
#define ATTENTION_LOOPS skv_attention_loops_avx512
#include "kernels/attention_loops.h"
