/* Tiles of 8 positions by 8 channels with NEON: 16-bit numbers, each step of k a multiply-add of a number of a row into
 * eight sums. */
#include "kernels/int8/gemm_neon.h"

enum { MR = 8, STEP = 8 };

/* Lane `l` of every row's eight numbers; the lane must be a constant. */
#define STEP_OF(l)                                                            \
    {                                                                         \
        const int16x8_t w = vld1q_s16(b + (l)*NR);                            \
        SKV_UNROLL                                                            \
        for (int r = 0; r < rows; r++) {                                      \
            acc[r][0] = vmlal_laneq_s16(acc[r][0], vget_low_s16(w), v[r], l); \
            acc[r][1] = vmlal_high_laneq_s16(acc[r][1], w, v[r], l);          \
        }                                                                     \
    }

SKV_INLINE void body(const skv_q8_tile *t, const int rows) {
    const size_t k = t->groups;
    const int16_t *x[MR], *b = t->b;
    int32x4_t acc[MR][2];
    SKV_UNROLL
    for (int r = 0; r < rows; r++) {
        x[r] = t->a[r];
        acc[r][0] = vld1q_s32(t->init);
        acc[r][1] = vld1q_s32(t->init + 4);
    }
    size_t i = 0;
    for (; i + STEP <= k; i += STEP, b += STEP * NR) {
        int16x8_t v[MR];
        SKV_UNROLL
        for (int r = 0; r < rows; r++) v[r] = vld1q_s16(x[r] + i);
        STEP_OF(0)
        STEP_OF(1)
        STEP_OF(2)
        STEP_OF(3)
        STEP_OF(4)
        STEP_OF(5)
        STEP_OF(6)
        STEP_OF(7)
    }
    for (; i < k; i++, b += NR) {
        const int16x8_t w = vld1q_s16(b);
        SKV_UNROLL
        for (int r = 0; r < rows; r++) {
            acc[r][0] = vmlal_n_s16(acc[r][0], vget_low_s16(w), x[r][i]);
            acc[r][1] = vmlal_high_n_s16(acc[r][1], w, x[r][i]);
        }
    }
    const neon_end e = end_of(t);
    SKV_UNROLL
    for (int r = 0; r < rows; r++) store_row(t, &e, (size_t)r, acc[r][0], acc[r][1]);
}

TILES

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    int16_t *to = (int16_t *)row + at;
    const int16x8_t z = vdupq_n_s16((int16_t)zero);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) vst1q_s16(to + i, vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x + i))), z));
    for (; i < n; i++) to[i] = (int16_t)(x[i] - zero);
}

static const skv_q8_gemm gemm = {
    .mr = MR, .nr = NR, .k_group = 1, .wide = true, .one_tap = true, .tile = tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_neon(void) { return &gemm; }
