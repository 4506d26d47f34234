/* Bytes to a gathered row of 16-bit numbers, less the zero point. */
#ifndef SKV_GEMM_WIDEN512_H
#define SKV_GEMM_WIDEN512_H

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    int16_t *to = (int16_t *)row + at;
    const __m512i z = _mm512_set1_epi16((short)zero);
    for (size_t i = 0; i < n; i += 32) {
        const __mmask32 m = n - i >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << (n - i)) - 1;
        const __m512i v = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(m, x + i));
        _mm512_mask_storeu_epi16(to + i, m, _mm512_sub_epi16(v, z));
    }
}

#endif
