/* A vector of 16 floats as the loops of rows and of attention name it. */
#ifndef SKV_VECTOR512_H
#define SKV_VECTOR512_H

#include <immintrin.h>

typedef __m512 vec;
enum { LANES = 16 };
#define vec_load(p)      _mm512_loadu_ps(p)
#define vec_store(p, v)  _mm512_storeu_ps(p, v)
#define vec_all(x)       _mm512_set1_ps(x)
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)

#endif
