/* The loops of sparse integer layers in plain C. */
#include "kernels/int8/sparse.h"

static void block(const skv_q8_sparse_block *b) {
    uint32_t acc[SKV_Q8_BLOCK][SKV_Q8_LINE];
    const int8_t *w = b->w;
    for (int r = 0; r < SKV_Q8_BLOCK; r++)
        for (int p = 0; p < SKV_Q8_LINE; p++) acc[r][p] = (uint32_t)b->init[r];
    for (size_t s = 0; s < b->steps; s++, w += SKV_Q8_BLOCK * SKV_Q8_STEP) {
        for (int k = 0; k < SKV_Q8_STEP; k++) {
            const uint8_t *x = b->panel + b->at[s * SKV_Q8_STEP + (size_t)k];
            for (int r = 0; r < SKV_Q8_BLOCK; r++) {
                const int32_t v = w[r * SKV_Q8_STEP + k];
#pragma omp simd
                for (int p = 0; p < SKV_Q8_LINE; p++) acc[r][p] += (uint32_t)(x[p] * v);
            }
        }
    }
    for (size_t p = 0; p < SKV_Q8_LINE; p++)
        for (size_t r = 0; r < SKV_Q8_BLOCK; r++) b->sum[p * b->stride + r] = (int32_t)acc[r][p];
}

const skv_q8_sparse_loops skv_q8_sparse_scalar = {
    .turn = skv_q8_turn_by_16, .block = block, .step = 260, .piece = 90, .out = 60, .dense = 1100};
