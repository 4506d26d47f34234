/* The end of a 512-bit tile: int32 sums to bytes or floats. Included by gemm_vnni.c and gemm_avx512.c, after MR and NR.
 *
 * The upper limit is applied in float, so that the conversion stays in range; the lower one after narrowing: what is
 * below int32 converts to the least int32 and narrows to the least int16, so the order is kept and the clamp sees it. */
#ifndef SKV_GEMM_STORE512_H
#define SKV_GEMM_STORE512_H

static inline __attribute__((always_inline)) __m512i narrow16(__m512i a0, __m512i a1, __m512 m0, __m512 m1,
                                                              __m512 limit, __m512i zero) {
    const __m512 t0 = _mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(a0), m0), limit);
    const __m512 t1 = _mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(a1), m1), limit);
    return _mm512_adds_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(t0), _mm512_cvtps_epi32(t1)), zero);
}

static inline __attribute__((always_inline)) void store_bytes(const skv_q8_tile *t, const int rows, __m512i (*acc)[2]) {
    const __m512 m0 = _mm512_loadu_ps(t->multiplier), m1 = _mm512_loadu_ps(t->multiplier + 16);
    const __m512 limit = _mm512_set1_ps(t->out->limit);
    const __m512i zero = _mm512_set1_epi16((short)t->out->zero);
    const __m512i lo = _mm512_set1_epi8((char)t->out->lo), hi = _mm512_set1_epi8((char)t->out->hi);
    const __m512i flip = _mm512_set1_epi8((char)t->out->flip), order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    const __mmask32 mask = t->columns >= NR ? ~(__mmask32)0 : ((__mmask32)1 << t->columns) - 1;
    uint8_t *y = t->y;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r += 2) {
        const __m512i p = narrow16(acc[r][0], acc[r][1], m0, m1, limit, zero);
        const __m512i q = r + 1 < rows ? narrow16(acc[r + 1][0], acc[r + 1][1], m0, m1, limit, zero) : p;
        __m512i v = _mm512_packus_epi16(p, q);
        v = _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(v, lo), hi), flip);
        v = _mm512_permutexvar_epi64(order, v);
        _mm256_mask_storeu_epi8(y + (size_t)r * t->y_stride, mask, _mm512_castsi512_si256(v));
        if (r + 1 < rows)
            _mm256_mask_storeu_epi8(y + (size_t)(r + 1) * t->y_stride, mask, _mm512_extracti64x4_epi64(v, 1));
    }
}

static inline __attribute__((always_inline)) void store_real(const skv_q8_tile *t, const int rows, __m512i (*acc)[2]) {
    const __m512 m0 = _mm512_loadu_ps(t->multiplier), m1 = _mm512_loadu_ps(t->multiplier + 16);
    /* columns 0..15 and 16..31 out of the panel's order */
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i second = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    const uint32_t mask = t->columns >= NR ? ~(uint32_t)0 : ((uint32_t)1 << t->columns) - 1;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        const __m512 t0 = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[r][0]), m0);
        const __m512 t1 = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[r][1]), m1);
        float *y = (float *)(void *)((char *)t->y + (size_t)r * t->y_stride);
        _mm512_mask_storeu_ps(y, (__mmask16)mask, _mm512_permutex2var_ps(t0, first, t1));
        if (mask >> 16) _mm512_mask_storeu_ps(y + 16, (__mmask16)(mask >> 16), _mm512_permutex2var_ps(t0, second, t1));
    }
}

#endif
