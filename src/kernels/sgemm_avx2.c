/* The product of matrices, its inner part for AVX2. */
#include <immintrin.h>

static inline float sum_of(__m256 v) {
    float x[8];
    _mm256_storeu_ps(x, v);
    return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7]));
}

#define TILE                  skv_sgemm_tile_avx2
#define VECTOR                __m256
#define LANES                 8
#define TILE_ROWS             6
#define LOAD(p)               _mm256_loadu_ps(p)
#define STORE(p, v)           _mm256_storeu_ps(p, v)
#define ZERO()                _mm256_setzero_ps()
#define SET(x)                _mm256_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#define SUM(v)                sum_of(v)
#include "kernels/sgemm_tile.h"
