/* The row loops, compiled for AVX-512. */
#include <stdint.h>

#include "kernels/vector512.h"

#define vec_max(a, b)  _mm512_max_ps(a, b)
#define vec_largest(v) _mm512_reduce_max_ps(v)
#define vec_total(v)   _mm512_reduce_add_ps(v)

static inline __mmask16 lanes(int64_t n) { return (__mmask16)((1u << n) - 1); }

static inline vec vec_first(const float *p, int64_t n, vec otherwise) {
    return _mm512_mask_loadu_ps(otherwise, lanes(n), p);
}

static inline void vec_store_first(float *p, vec v, int64_t n) { _mm512_mask_storeu_ps(p, lanes(n), v); }

static inline vec vec_power(vec t) {
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t), 23), one = _mm512_set1_epi32(0x3F800000);
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_add_epi32(n, one), _mm512_setzero_si512()));
}

#define ROW_VECTORS
#define ROW_LOOPS skv_row_loops_avx512
#include "kernels/rows_loops.h"
