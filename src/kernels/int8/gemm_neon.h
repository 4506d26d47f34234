/* What the NEON tiles share: eight columns, two vectors of sums a row, and their end: sums to bytes, floats or as they
 * are. Included after MR. Every step rounds as gemm_scalar.c does. */
#ifndef SKV_GEMM_NEON_H
#define SKV_GEMM_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kernels/int8/int8.h"
#include "kernels/unroll.h"

enum { NR = 8 };

typedef struct neon_end {
    float32x4_t multiplier[2];
    float32x4_t lo, limit, mine, theirs;
    int32x4_t zero, least, most;
} neon_end;

SKV_INLINE neon_end end_of(const skv_q8_tile *t) {
    const skv_q8_out *o = t->out;
    if (o->sums) return (neon_end){0};
    return (neon_end){.multiplier = {vld1q_f32(t->multiplier), vld1q_f32(t->multiplier + 4)},
                      .lo = vdupq_n_f32((float)((int32_t)o->lo - o->zero)),
                      .limit = vdupq_n_f32(o->limit),
                      .mine = vdupq_n_f32(o->sum.mine),
                      .theirs = vdupq_n_f32(o->sum.theirs),
                      .zero = vdupq_n_s32(o->zero),
                      .least = vdupq_n_s32(o->sum.least),
                      .most = vdupq_n_s32(o->sum.most)};
}

/* Four results without the output's zero point. */
SKV_INLINE int32x4_t rounded(const neon_end *e, float32x4_t v) {
    return vcvtnq_s32_f32(vminq_f32(vmaxq_f32(v, e->lo), e->limit));
}

SKV_INLINE float32x4_t with_other(const skv_q8_tile *t, const neon_end *e, float32x4_t v, int16x4_t other) {
    const int32x4_t own = vminq_s32(vmaxq_s32(vcvtnq_s32_f32(v), e->least), e->most);
    const int32x4_t theirs = vsubq_s32(vmovl_s16(other), vdupq_n_s32(t->out->sum.zero));
    return vaddq_f32(vmulq_f32(vcvtq_f32_s32(own), e->mine), vmulq_f32(vcvtq_f32_s32(theirs), e->theirs));
}

SKV_INLINE void put(void *to, const void *from, size_t columns, size_t item) {
    if (columns >= NR)
        memcpy(to, from, NR * item);
    else
        memcpy(to, from, columns * item);
}

SKV_INLINE void store_row(const skv_q8_tile *t, const neon_end *e, size_t row, int32x4_t a, int32x4_t b) {
    char *y = (char *)t->y + t->y_at[row];
    if (t->out->sums) {
        int32_t sums[NR];
        vst1q_s32(sums, a);
        vst1q_s32(sums + 4, b);
        put(y, sums, t->columns, sizeof *sums);
        return;
    }
    float32x4_t u = vmulq_f32(vcvtq_f32_s32(a), e->multiplier[0]), v = vmulq_f32(vcvtq_f32_s32(b), e->multiplier[1]);
    if (t->out->real) {
        float real[NR];
        vst1q_f32(real, u);
        vst1q_f32(real + 4, v);
        put(y, real, t->columns, sizeof *real);
        return;
    }
    if (t->out->adds) {
        uint8_t other[NR] = {0};
        put(other, t->other + t->y_at[row], t->columns, 1);
        const int16x8_t wide = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(other)));
        u = with_other(t, e, u, vget_low_s16(wide));
        v = with_other(t, e, v, vget_high_s16(wide));
    }
    const int32x4_t p = vaddq_s32(rounded(e, u), e->zero), q = vaddq_s32(rounded(e, v), e->zero);
    const uint8x8_t bytes = vmovn_u16(vreinterpretq_u16_s16(vcombine_s16(vmovn_s32(p), vmovn_s32(q))));
    uint8_t out[NR];
    vst1_u8(out, veor_u8(bytes, vdup_n_u8(t->out->flip)));
    put(y, out, t->columns, 1);
}

/* A tile for each number of rows, their sums in registers. */
#define TILE_OF(n) \
    static __attribute__((noinline)) void tile_##n(const skv_q8_tile *t) { body(t, n); }
#define ENTRY_OF(n) tile_##n,
#define ROWS(X)     X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#define TILES                                                                   \
    ROWS(TILE_OF)                                                               \
    static void tile(const skv_q8_tile *t) {                                    \
        static void (*const by_rows[])(const skv_q8_tile *) = {ROWS(ENTRY_OF)}; \
        by_rows[t->rows - 1](t);                                                \
    }

SKV_INLINE void copy_bytes(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    (void)zero;
    memcpy((uint8_t *)row + at, x, n);
}

#endif
