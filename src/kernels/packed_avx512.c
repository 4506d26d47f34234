/* Products with packed weights, inner loops for AVX-512: codes of 4 bits choose from 16 floats in a register. */
#include <immintrin.h>

#define LOOPS                 skv_packed_loops_avx512
#define VECTOR                __m512
#define LANES                 16
#define LOAD(p)               _mm512_loadu_ps(p)
#define STORE(p, v)           _mm512_storeu_ps(p, v)
#define ZERO()                _mm512_setzero_ps()
#define SET(x)                _mm512_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#define CODES(p)              ((const __m128i *)(const void *)(p))
#define BYTES(p)              _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(CODES(p))))
#define HALVES(p)             _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define TABLE
#define LOOK_UP(table, codes) _mm512_permutexvar_ps((__m512i)(codes), table)
#include "kernels/packed_loops.h"
