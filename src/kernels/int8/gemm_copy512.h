/* Bytes to a gathered row, as they are. */
#ifndef SKV_GEMM_COPY512_H
#define SKV_GEMM_COPY512_H

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    (void)zero;
    uint8_t *to = (uint8_t *)row + at;
    for (size_t i = 0; i < n; i += 64) {
        const __mmask64 m = n - i >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (n - i)) - 1;
        _mm512_mask_storeu_epi8(to + i, m, _mm512_maskz_loadu_epi8(m, x + i));
    }
}

#endif
