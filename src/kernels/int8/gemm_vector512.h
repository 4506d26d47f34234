/* Vectors of 512 bits for gemm_tile.h. */
#ifndef SKV_GEMM_VECTOR512_H
#define SKV_GEMM_VECTOR512_H

typedef __m512i vector;

static inline vector load_vector(const void *p) { return _mm512_loadu_si512(p); }

static inline vector broadcast4(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

#endif
