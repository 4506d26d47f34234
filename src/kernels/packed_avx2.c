/* Products with packed weights, inner loops for AVX2. */
#include <immintrin.h>

#define LOOPS                 skv_packed_loops_avx2
#define VECTOR                __m256
#define LANES                 8
#define LOAD(p)               _mm256_loadu_ps(p)
#define STORE(p, v)           _mm256_storeu_ps(p, v)
#define ZERO()                _mm256_setzero_ps()
#define SET(x)                _mm256_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#define CODES(p)              ((const __m128i *)(const void *)(p))
#define BYTES(p)              _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(CODES(p))))
#define HALVES(p)             _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#include "kernels/packed_loops.h"
