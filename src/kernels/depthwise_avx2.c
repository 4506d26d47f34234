/* The depthwise convolution, compiled for AVX2. */
#include <immintrin.h>

#define DEPTHWISE_LOOPS       skv_depthwise_avx2
#define VECTOR                __m256
#define LANES                 8
#define LOAD(p)               _mm256_loadu_ps(p)
#define STORE(p, v)           _mm256_storeu_ps(p, v)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "kernels/depthwise_loops.h"
