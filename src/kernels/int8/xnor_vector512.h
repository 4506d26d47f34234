/* Vectors of 512 bits for xnor_tile.h. */
#ifndef SKV_XNOR_VECTOR512_H
#define SKV_XNOR_VECTOR512_H

typedef __m512i vector;

static inline vector no_bits(void) { return _mm512_setzero_si512(); }
static inline vector load_vector(const uint64_t *p) { return _mm512_loadu_si512(p); }
static inline vector broadcast(uint64_t v) { return _mm512_set1_epi64((long long)v); }
static inline void put(int32_t *to, vector v) { _mm256_storeu_si256((void *)to, _mm512_cvtepi64_epi32(v)); }

static void pack(const uint8_t *x, size_t n, uint64_t *to) {
    for (size_t i = 0; i < n; i += 64) {
        const __mmask64 m = n - i >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (n - i)) - 1;
        *to++ = _mm512_mask_cmpeq_epi8_mask(m, _mm512_maskz_loadu_epi8(m, x + i), _mm512_setzero_si512());
    }
}

#endif
