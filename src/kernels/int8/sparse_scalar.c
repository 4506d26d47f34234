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

enum { LANES = 8 };

static void pick(const skv_q8_pick_block *b) {
    for (size_t p = 0; p < b->count; p++) {
        const uint8_t *row = (const uint8_t *)b->rows + p * b->row_bytes;
        for (size_t lane = 0; lane < LANES; lane++) {
            uint32_t acc = (uint32_t)b->init[lane];
            for (size_t s = 0; s < b->steps; s++) {
                const size_t first = (s * LANES + lane) * 4;
                for (size_t i = first; i < first + 4; i++)
                    acc += (uint32_t)((int32_t)row[b->at[s] + b->pick[i]] * (int8_t)b->w[i]);
            }
            b->sum[p * b->stride + lane] = (int32_t)acc;
        }
    }
}

const skv_q8_sparse_loops skv_q8_sparse_scalar = {.lanes = LANES,
                                                  .turn = skv_q8_turn_by_16,
                                                  .block = block,
                                                  .pick = pick,
                                                  .step = 260,
                                                  .piece = 90,
                                                  .out = 60,
                                                  .dense = 1100,
                                                  .picked = 2600};
