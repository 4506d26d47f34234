/* Bytes to a gathered row of 16-bit numbers, less the zero point, in plain C. */
#ifndef SKV_GEMM_WIDEN_H
#define SKV_GEMM_WIDEN_H

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    int16_t *to = (int16_t *)row + at;
    const int16_t z = (int16_t)zero;
    for (size_t i = 0; i < n; i++) to[i] = (int16_t)(x[i] - z);
}

#endif
