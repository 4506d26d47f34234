/* The gradient of a convolution's weight through MaxPool, compiled for AVX2. */
#if defined(__AVX2__)
#include <immintrin.h>

#define PCW_UNROLLED
#define PCW_LOOPS                 skv_pcw_avx2
#define PCW_VECTOR                __m256
#define PCW_LOAD(p)               _mm256_loadu_ps(p)
#define PCW_STORE(p, v)           _mm256_storeu_ps(p, v)
#define PCW_SPREAD(x)             _mm256_set1_ps(x)
#define PCW_ADD(a, b)             _mm256_add_ps(a, b)
#define PCW_MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "kernels/pool_conv_weight_loops.h"
#endif
