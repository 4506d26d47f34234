/* Tiles of 3 positions by 4 channels with weights that are powers of two, in plain C: shifts of unsigned numbers, whose
 * bits are those of the signed ones. SSE2 shifts all elements of a vector by the same number, so that the sums are made
 * one by one. */
#include <string.h>

#include "kernels/int8/round.h"
#include "kernels/int8/shift.h"
#include "kernels/unroll.h"

enum { MR = 3, NR = 4, ALL = 12 };

#include "kernels/int8/gemm_store.h"
#include "kernels/int8/gemm_widen.h"

static void tile(const skv_q8_tile *t) {
    const uint32_t *b = (const uint32_t *)(const void *)((const char *)t->b + t->tap_at[0]);
    uint32_t sum[ALL] = {0};
    int32_t acc[ALL];
    for (size_t g = 0; g < t->groups; g++) {
        for (size_t c = 0; c < NR; c++) {
            uint32_t word = b[g * NR + c];
            for (size_t k = 0; word != 0; k++, word >>= SKV_Q8_SHIFT_BITS) {
                const uint32_t code = word & 7;
                if (code == 0) continue;
                for (size_t r = 0; r < t->rows; r++) {
                    const int16_t *x = (const int16_t *)t->a[r] + g * SKV_Q8_SHIFT_GROUP;
                    const uint32_t v = (uint32_t)(int32_t)x[k] << (code - 1);
                    sum[r * NR + c] += word & 8 ? 0u - v : v;
                }
            }
        }
    }
    for (size_t r = 0; r < MR; r++)
        for (size_t c = 0; c < NR; c++) acc[r * NR + c] = (int32_t)(sum[r * NR + c] + (uint32_t)t->init[c]);
    store(t, (int)t->rows, acc);
}

static const skv_q8_gemm gemm = {.mr = MR,
                                 .nr = NR,
                                 .k_group = SKV_Q8_SHIFT_GROUP,
                                 .wide = true,
                                 .bits = SKV_Q8_SHIFT_PLACE,
                                 .tile = tile,
                                 .copy = copy};
const skv_q8_gemm *skv_q8_shift_scalar(void) { return &gemm; }
