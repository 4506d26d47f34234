/* Weights that are 0 or powers of two, 1 to 64, of both signs, for tiles without multiplications: each input is
 * shifted, and added or subtracted.
 *
 * A panel has a word of 32 bits for each column and eight weights of it. Weight k stands in bits 4 k to 4 k + 3: the
 * highest is set where it is negative, the others hold 0 for 0 and 1 + n for 2^n. */
#ifndef SKV_INT8_SHIFT_H
#define SKV_INT8_SHIFT_H

#include "kernels/int8/int8.h"

enum {
    SKV_Q8_SHIFT_PLACE =
        3, /* skv_q8_gemm.bits of these tiles, by which they are known: those of few.h have 4, 2 or 1 */
    SKV_Q8_SHIFT_GROUP = 8,
    SKV_Q8_SHIFT_BITS = 4, /* with the sign */
    SKV_Q8_SHIFT_MOST = 6, /* the largest n */
};

/* n of a weight 2^n or -2^n; -1 of 0, and -2 of any other. */
static inline int skv_q8_shift_of(int32_t w) {
    const int32_t size = w < 0 ? -w : w;
    if (w == 0) return -1;
    for (int n = 0; n <= SKV_Q8_SHIFT_MOST; n++)
        if (size == 1 << n) return n;
    return -2;
}

/* Sets weight k of a column, in a panel of zeros. */
static inline void skv_q8_shift_put(const skv_q8_gemm *g, uint32_t *panel, size_t column, size_t k, int32_t w) {
    const uint32_t code = (uint32_t)(skv_q8_shift_of(w) + 1) | (w < 0 ? 8u : 0u);
    panel[k / SKV_Q8_SHIFT_GROUP * g->nr + column] |= code << (k % SKV_Q8_SHIFT_GROUP * SKV_Q8_SHIFT_BITS);
}

const skv_q8_gemm *skv_q8_shift_scalar(void);
const skv_q8_gemm *skv_q8_shift_avx2(void);
const skv_q8_gemm *skv_q8_shift_avx512(void);

#endif
