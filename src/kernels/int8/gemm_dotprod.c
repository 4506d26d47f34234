/* Tiles of 8 positions by 8 channels with SDOT: four s8 * s8 products added to int32 at once. The bytes of x become
 * signed by less 128 (`shift`), which the driver's init makes up for. */
#include "kernels/int8/gemm_neon.h"

enum { MR = 8, GROUP = 4, LANES = 4 };

/* Lane `l` of every row: a group of four numbers; the lane must be a constant. */
#define STEP_OF(l)                                                                                 \
    {                                                                                              \
        const int8x16_t w0 = vld1q_s8(b + (l)*GROUP * NR), w1 = vld1q_s8(b + (l)*GROUP * NR + 16); \
        SKV_UNROLL                                                                                 \
        for (int r = 0; r < rows; r++) {                                                           \
            acc[r][0] = vdotq_laneq_s32(acc[r][0], w0, v[r], l);                                   \
            acc[r][1] = vdotq_laneq_s32(acc[r][1], w1, v[r], l);                                   \
        }                                                                                          \
    }

SKV_INLINE int8x16_t less128(uint8x16_t x) { return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(128))); }

SKV_INLINE uint8x16_t four_bytes(const uint8_t *x) {
    uint32_t v;
    memcpy(&v, x, sizeof v);
    return vreinterpretq_u8_u32(vdupq_n_u32(v));
}

SKV_INLINE void body(const skv_q8_tile *t, const int rows) {
    int32x4_t acc[MR][2];
    SKV_UNROLL
    for (int r = 0; r < rows; r++) {
        acc[r][0] = vld1q_s32(t->init);
        acc[r][1] = vld1q_s32(t->init + 4);
    }
    const void *const *a = t->a;
    for (size_t tap = 0; tap < t->taps; tap++, a += rows) {
        const uint8_t *x[MR];
        SKV_UNROLL
        for (int r = 0; r < rows; r++) x[r] = a[r];
        const int8_t *b = (const int8_t *)t->b + t->tap_at[tap];
        size_t g = 0;
        for (; g + LANES <= t->groups; g += LANES, b += LANES * GROUP * NR) {
            int8x16_t v[MR];
            SKV_UNROLL
            for (int r = 0; r < rows; r++) v[r] = less128(vld1q_u8(x[r] + g * GROUP));
            STEP_OF(0)
            STEP_OF(1)
            STEP_OF(2)
            STEP_OF(3)
        }
        for (; g < t->groups; g++, b += GROUP * NR) {
            int8x16_t v[MR];
            SKV_UNROLL
            for (int r = 0; r < rows; r++) v[r] = less128(four_bytes(x[r] + g * GROUP));
            STEP_OF(0)
        }
    }
    const neon_end e = end_of(t);
    SKV_UNROLL
    for (int r = 0; r < rows; r++) store_row(t, &e, (size_t)r, acc[r][0], acc[r][1]);
}

TILES

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) { copy_bytes(row, at, x, n, zero); }

static const skv_q8_gemm gemm = {.mr = MR, .nr = NR, .k_group = GROUP, .shift = 128, .tile = tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_dotprod(void) { return &gemm; }
