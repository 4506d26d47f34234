/* Products of signs in plain C. */
#include <string.h>

#include "kernels/int8/xnor.h"

#if defined(__x86_64__)
/* Without a level above plain C there is no instruction for it. */
static inline uint64_t bits_of(uint64_t v) {
    v -= v >> 1 & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return v * 0x0101010101010101u >> 56;
}
#else
static inline uint64_t bits_of(uint64_t v) { return (uint64_t)__builtin_popcountll(v); }
#endif

static void tile(const skv_xnor_tile *t) {
    memset(t->count, 0, t->rows * sizeof *t->count);
    for (size_t tap = 0; tap < t->taps; tap++)
        for (size_t r = 0; r < t->rows; r++) {
            const uint64_t *a = t->a[tap * t->rows + r], *b = t->b + tap * t->words * SKV_XNOR_COLUMNS;
            for (size_t w = 0; w < t->words; w++, b += SKV_XNOR_COLUMNS)
                for (size_t c = 0; c < SKV_XNOR_COLUMNS; c++) t->count[r][c] += (int32_t)bits_of(a[w] ^ b[c]);
        }
}

static void pack(const uint8_t *x, size_t n, uint64_t *to) {
    for (size_t i = 0; i < n; i += 64, to++) {
        uint64_t word = 0;
        for (size_t k = 0; k < 64 && i + k < n; k++) word |= (uint64_t)(x[i + k] == 0) << k;
        *to = word;
    }
}

const skv_xnor_loops skv_xnor_loops_scalar = {tile, pack};
