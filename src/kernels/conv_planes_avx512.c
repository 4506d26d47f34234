/* Convolution over padded planes, its inner part for AVX-512. */
#include <immintrin.h>

#define TILE                  skv_planes_tile_avx512
#define VECTOR                __m512
#define LANES                 16
#define TILE_ROWS             8
#define LOAD(p)               _mm512_loadu_ps(p)
#define STORE(p, v)           _mm512_storeu_ps(p, v)
#define ZERO()                _mm512_setzero_ps()
#define SET(x)                _mm512_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "kernels/conv_planes_tile.h"
