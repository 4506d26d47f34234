/* Convolution over padded planes, its inner part for AVX2. */
#include <immintrin.h>

#define TILE                  skv_planes_tile_avx2
#define VECTOR                __m256
#define LANES                 8
#define TILE_ROWS             4
#define LOAD(p)               _mm256_loadu_ps(p)
#define STORE(p, v)           _mm256_storeu_ps(p, v)
#define ZERO()                _mm256_setzero_ps()
#define SET(x)                _mm256_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "kernels/conv_planes_tile.h"
