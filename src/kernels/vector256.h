/* A vector of 8 floats as the loops of rows and of attention name it. */
#ifndef SKV_VECTOR256_H
#define SKV_VECTOR256_H

#include <immintrin.h>

typedef __m256 vec;
enum { LANES = 8 };
#define vec_load(p)      _mm256_loadu_ps(p)
#define vec_store(p, v)  _mm256_storeu_ps(p, v)
#define vec_all(x)       _mm256_set1_ps(x)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)

#endif
