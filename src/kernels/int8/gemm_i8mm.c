/* Tiles of 8 positions by 8 channels with USMMLA: two rows by two columns of eight u8 * s8 products each, added to four
 * int32 at once. */
#include "kernels/int8/gemm_neon.h"

enum { MR = 8, GROUP = 8, PAIRS = NR / 2 };

/* Groups `g` of two rows. */
SKV_INLINE uint8x16_t two_rows(const uint8_t *x, const uint8_t *y) { return vcombine_u8(vld1_u8(x), vld1_u8(y)); }

/* The low or the high half of two sums of 2 x 2: four columns of the first or the second row. */
SKV_INLINE int32x4_t row_of(int32x4_t a, int32x4_t b, int row) {
    return row ? vcombine_s32(vget_high_s32(a), vget_high_s32(b)) : vcombine_s32(vget_low_s32(a), vget_low_s32(b));
}

SKV_INLINE void body(const skv_q8_tile *t, const int rows) {
    const int pairs = (rows + 1) / 2;
    int32x4_t acc[MR / 2][PAIRS];
    SKV_UNROLL
    for (int p = 0; p < pairs; p++) {
        SKV_UNROLL
        for (int c = 0; c < PAIRS; c++) {
            const int32x2_t init = vld1_s32(t->init + 2 * c);
            acc[p][c] = vcombine_s32(init, init);
        }
    }
    const void *const *a = t->a;
    for (size_t tap = 0; tap < t->taps; tap++, a += rows) {
        const uint8_t *x[MR];
        SKV_UNROLL
        for (int r = 0; r < 2 * pairs; r++) x[r] = a[r < rows ? r : rows - 1];
        const int8_t *b = (const int8_t *)t->b + t->tap_at[tap];
        for (size_t g = 0; g < t->groups; g++, b += GROUP * NR) {
            uint8x16_t v[MR / 2];
            SKV_UNROLL
            for (int p = 0; p < pairs; p++) v[p] = two_rows(x[2 * p] + g * GROUP, x[2 * p + 1] + g * GROUP);
            SKV_UNROLL
            for (int c = 0; c < PAIRS; c++) {
                const int8x16_t w = vld1q_s8(b + c * 2 * GROUP);
                SKV_UNROLL
                for (int p = 0; p < pairs; p++) acc[p][c] = vusmmlaq_s32(acc[p][c], v[p], w);
            }
        }
    }
    const neon_end e = end_of(t);
    SKV_UNROLL
    for (int r = 0; r < rows; r++)
        store_row(t, &e, (size_t)r, row_of(acc[r / 2][0], acc[r / 2][1], r % 2),
                  row_of(acc[r / 2][2], acc[r / 2][3], r % 2));
}

TILES

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) { copy_bytes(row, at, x, n, zero); }

static const skv_q8_gemm gemm = {.mr = MR, .nr = NR, .k_group = GROUP, .tile = tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_i8mm(void) { return &gemm; }
