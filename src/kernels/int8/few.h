/* Weights of 4, 2 and 1 bits for the integer tiles. They stay packed in memory: the tile takes them apart in
 * registers.
 *
 * All weights of a node are a common factor times codes: -8 to 7 in 4 bits, -2 to 1 in 2 (ternary weights among
 * them), -1 and 1 in 1 (the bit is set for -1). A panel has a word of 32 bits for each column and group of k_group
 * codes. The word has four lanes of 8 bits or, if the tile is `wide`, two of 16; code k stands in lane k % lanes at
 * step k / lanes, and step 0 has the highest bits of each lane. Each step then is a shift, and what it leaves is
 * multiplied with as many inputs as a lane has codes. */
#ifndef SKV_INT8_FEW_H
#define SKV_INT8_FEW_H

#include "kernels/int8/int8.h"

enum { SKV_Q8_FEW_LONGEST = 65536 }; /* k: sums of 255 * 128 for each code stay within int32 */

/* The bits that n weights need, 4, 2 or 1, and their common factor; 0: more than 4. */
int skv_q8_few_bits(const int8_t *w, size_t n, int32_t *factor);
/* Sets code k of a column, in a panel of zeros. */
static inline void skv_q8_few_put(const skv_q8_gemm *g, uint32_t *panel, size_t column, size_t k, int code) {
    const size_t lanes = g->wide ? 2 : 4, width = 32 / lanes, in = k % g->k_group, bits = (size_t)g->bits;
    const uint32_t pattern = g->bits == 1 ? code < 0 : (uint32_t)code & ((1u << bits) - 1);
    panel[k / g->k_group * g->nr + column] |= pattern << (in % lanes * width + width - bits * (in / lanes + 1));
}

/* The tile of an instruction set for so many bits. */
const skv_q8_gemm *skv_q8_few_scalar(int bits);
const skv_q8_gemm *skv_q8_few_avx2(int bits);
const skv_q8_gemm *skv_q8_few_avx512(int bits);
const skv_q8_gemm *skv_q8_few_vnni(int bits);

#endif
