/* Vectors of 256 bits for gemm_tile.h and few_tile.h. */
#ifndef SKV_GEMM_VECTOR256_H
#define SKV_GEMM_VECTOR256_H

typedef __m256i vector;

static inline vector load_vector(const void *p) { return _mm256_loadu_si256(p); }

static inline vector broadcast4(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

#endif
