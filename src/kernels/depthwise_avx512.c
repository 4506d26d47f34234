/* The depthwise convolution, compiled for AVX-512. */
#include <immintrin.h>

#define DEPTHWISE_LOOPS       skv_depthwise_avx512
#define VECTOR                __m512
#define LANES                 16
#define LOAD(p)               _mm512_loadu_ps(p)
#define STORE(p, v)           _mm512_storeu_ps(p, v)
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "kernels/depthwise_loops.h"
