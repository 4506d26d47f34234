/* Sparse integer convolutions and products: what the driver and the inner loops agree on.
 *
 * Four output channels share one list of the inputs of which any of the four has a weight that is not zero (4x1 blocks;
 * any other pattern fits too, with more zeros multiplied). The inputs of 64 output positions are turned into a panel,
 * one line of 64 bytes for each number under the window, and a step multiplies four lines with four by four weights.
 *
 * Other patterns, N:M above all: the rows of inputs stay as they are, and each of `lanes` output channels picks its own
 * numbers, two or four a step, from the same 16 bytes of a row by a permutation. */
#ifndef SKV_INT8_SPARSE_H
#define SKV_INT8_SPARSE_H

#include "kernels/int8/int8.h"

enum {
    SKV_Q8_LINE = 64,  /* positions of a panel */
    SKV_Q8_BLOCK = 4,  /* output channels of a block */
    SKV_Q8_STEP = 4,   /* lines of a step */
    SKV_Q8_TURNED = 16 /* rows are read in pieces of so many bytes */
};

typedef struct skv_q8_sparse_block {
    const uint8_t *panel;
    const uint32_t *at; /* [steps][SKV_Q8_STEP]: lines of the panel, in bytes */
    const void *w;      /* [steps][rows][lines] int8, or of `wide` loops [steps][pairs of lines][rows][2] int16 */
    size_t steps;
    const int32_t *init; /* [SKV_Q8_BLOCK] */
    int32_t *sum;        /* [SKV_Q8_LINE][stride]: the block's SKV_Q8_BLOCK sums of each position */
    size_t stride;
} skv_q8_sparse_block;

/* The sums of `lanes` channels at `count` positions. */
typedef struct skv_q8_pick_block {
    const char *rows; /* [count], row_bytes apart: bytes, or the same as int16 of `wide` loops */
    size_t row_bytes, count;
    const uint32_t *at;  /* [steps]: where in a row the 16 bytes stand */
    const uint8_t *pick; /* [steps][lanes][4]: which of them */
    const char *w;       /* [steps][lanes]: four int8, or two int16 */
    size_t steps;
    const int32_t *init; /* [lanes] */
    int32_t *sum;        /* [count][stride] */
    size_t stride;
} skv_q8_pick_block;

typedef struct skv_q8_sparse_loops {
    bool wide;
    int lanes;
    /* rows[SKV_Q8_LINE], of `pieces` pieces each, to a panel */
    void (*turn)(const uint8_t *const *rows, size_t pieces, uint8_t *panel);
    void (*block)(const skv_q8_sparse_block *b);
    void (*pick)(const skv_q8_pick_block *b);
    /* What they take, and what the dense kernel of the level takes, in the same unit: a step, to turn a piece of 64
     * rows, the sums of a channel at 64 positions; dense, 64 products for each of 64 positions. */
    float step, piece, out, dense;
    float picked; /* a step of `pick` */
} skv_q8_sparse_loops;
extern const skv_q8_sparse_loops skv_q8_sparse_scalar, skv_q8_sparse_avx2, skv_q8_sparse_vnni;

/* Weights [m][c][window], k = c * window. */
typedef struct skv_q8_pattern {
    const int8_t *w;
    int64_t m, k, c;
} skv_q8_pattern;
/* Steps of channels block * lanes on, and these steps: `pick` and `w` are zero before. */
size_t skv_q8_pick_steps(const skv_q8_sparse_loops *l, const skv_q8_pattern *p, int64_t block);
void skv_q8_pick_pack(const skv_q8_sparse_loops *l, const skv_q8_pattern *p, int64_t block, uint32_t *at, uint8_t *pick,
                      char *w);

/* The lines of one piece, 16 rows by 16 bytes turned: four rounds of interleaving. */
typedef uint8_t skv_q8_16 __attribute__((vector_size(16), aligned(1), may_alias));
static inline void skv_q8_turn_16(const uint8_t *const *rows, size_t from, uint8_t *to) {
    skv_q8_16 a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = *(const skv_q8_16 *)(rows[i] + from);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = __builtin_shufflevector(a[i], a[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * i + 1] =
                __builtin_shufflevector(a[i], a[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        for (int i = 0; i < 8; i++) {
            a[2 * i] = __builtin_shufflevector(b[i], b[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            a[2 * i + 1] =
                __builtin_shufflevector(b[i], b[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
    }
    for (int i = 0; i < 16; i++) *(skv_q8_16 *)(to + (size_t)i * SKV_Q8_LINE) = a[i];
}
static inline void skv_q8_turn_by_16(const uint8_t *const *rows, size_t pieces, uint8_t *panel) {
    for (size_t p = 0; p < pieces; p++)
        for (size_t r = 0; r < SKV_Q8_LINE; r += 16)
            skv_q8_turn_16(rows + r, p * SKV_Q8_TURNED, panel + p * SKV_Q8_TURNED * SKV_Q8_LINE + r);
}

#endif
