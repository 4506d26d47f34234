/* Products of signs: weights of one bit and inputs of one bit, 64 channels in a word, the bit set for -1. The
 * product of two signs is the xor of their bits, and the sum over n of them n - 2 * (bits set). */
#ifndef SKV_INT8_XNOR_H
#define SKV_INT8_XNOR_H

#include "base/isa.h"

#include <stddef.h>
#include <stdint.h>

enum { SKV_XNOR_ROWS = 6, SKV_XNOR_COLUMNS = 32 }; /* of a tile */

typedef struct skv_xnor_tile {
    size_t rows, taps, words;           /* words of a tap */
    const uint64_t *const *a;           /* [taps][rows]: words of a pixel */
    const uint64_t *b;                  /* [taps][words][SKV_XNOR_COLUMNS] */
    int32_t (*count)[SKV_XNOR_COLUMNS]; /* [rows]: bits set in all xors */
} skv_xnor_tile;

typedef struct skv_xnor_loops {
    void (*tile)(const skv_xnor_tile *t);
    /* n bytes to (n + 63) / 64 words: a bit is set where the byte is 0, none beyond n */
    void (*pack)(const uint8_t *x, size_t n, uint64_t *to);
} skv_xnor_loops;
extern const skv_xnor_loops skv_xnor_loops_scalar, skv_xnor_loops_avx2, skv_xnor_loops_avx512, skv_xnor_loops_vnni;
const skv_xnor_loops *skv_xnor_loops_of(skv_isa isa);

#endif
