/* Tiles of 3 positions by 4 channels with weights of few bits in plain C: codes of a stretch are written out as 16-bit
 * numbers, and used for each position. */
#include <string.h>

#include "kernels/int8/few.h"
#include "kernels/int8/round.h"
#include "kernels/unroll.h"

enum { MR = 3, NR = 4, ALL = 16, LANES = 2, STRETCH = 128 /* codes */ };

#include "kernels/int8/gemm_store.h"
#include "kernels/int8/gemm_widen.h"

/* The codes of `words` words of each column, in order. */
SKV_INLINE void write_out(const uint32_t *b, size_t words, const int bits, int16_t (*to)[STRETCH]) {
    const int steps = 16 / bits;
    for (size_t g = 0; g < words; g++)
        for (int c = 0; c < NR; c++) {
            const uint32_t word = b[g * NR + (size_t)c];
            int16_t *at = to[c] + g * (size_t)(steps * LANES);
            for (int s = 0; s < steps; s++)
                for (int lane = 0; lane < LANES; lane++) {
                    const uint32_t code = word >> (lane * 16 + 16 - bits * (s + 1)) & ((1u << bits) - 1);
                    const int sign = 1 << (bits - 1);
                    at[s * LANES + lane] = bits == 1 ? (int16_t)(code ? -1 : 1) : (int16_t)(((int)code ^ sign) - sign);
                }
        }
}

SKV_INLINE void body(const skv_q8_tile *t, const int bits) {
    const size_t k_group = 32 / (size_t)bits, most = STRETCH / k_group;
    int32_t acc[ALL] = {0};
    int16_t w[NR][STRETCH];
    for (size_t tap = 0; tap < t->taps; tap++) {
        const uint32_t *b = (const uint32_t *)(const void *)((const char *)t->b + t->tap_at[tap]);
        for (size_t g = 0; g < t->groups; g += most) {
            const size_t words = t->groups - g < most ? t->groups - g : most, n = words * k_group;
            write_out(b + g * NR, words, bits, w);
            for (size_t r = 0; r < t->rows; r++) {
                const int16_t *x = (const int16_t *)t->a[tap * t->rows + r] + g * k_group;
                for (size_t c = 0; c < NR; c++) {
                    int32_t sum = 0;
                    for (size_t i = 0; i < n; i++) sum += x[i] * w[c][i];
                    acc[r * NR + c] += sum;
                }
            }
        }
    }
    for (size_t r = 0; r < MR; r++)
        for (size_t c = 0; c < NR; c++)
            acc[r * NR + c] = (int32_t)((uint32_t)acc[r * NR + c] * (uint32_t)t->factor + (uint32_t)t->init[c]);
    store(t, (int)t->rows, acc);
}

static void tile4(const skv_q8_tile *t) { body(t, 4); }
static void tile2(const skv_q8_tile *t) { body(t, 2); }
static void tile1(const skv_q8_tile *t) { body(t, 1); }

#define GEMM(bits_) \
    { .mr = MR, .nr = NR, .k_group = 32 / (bits_), .wide = true, .bits = (bits_), .tile = tile##bits_, .copy = copy }
static const skv_q8_gemm gemms[] = {GEMM(1), GEMM(2), GEMM(4)};
const skv_q8_gemm *skv_q8_few_scalar(int bits) { return &gemms[bits / 2]; }
