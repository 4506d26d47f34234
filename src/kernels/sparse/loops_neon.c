/* The sparse loops with NEON. */
#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>

typedef float32x4_t vec;
enum { LANES = 4 };

static inline vec vec_load_some(const float *p, int64_t n) {
    float part[LANES] = {0};
    for (int64_t i = 0; i < n; i++) part[i] = p[i];
    return vld1q_f32(part);
}
static inline void vec_store_some(float *p, int64_t n, vec v) {
    float part[LANES];
    vst1q_f32(part, v);
    for (int64_t i = 0; i < n; i++) p[i] = part[i];
}
#define vec_load(p)      vld1q_f32(p)
#define vec_store(p, v)  vst1q_f32(p, v)
#define vec_all(x)       vdupq_n_f32(x)
#define vec_fma(a, b, c) vfmaq_f32(c, a, b)
#define vec_add(a, b)    vaddq_f32(a, b)
/* Not FMAX and FMIN: where one is NaN it is b that comes out. */
static inline vec vec_max(vec a, vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vec vec_min(vec a, vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
#define vec_even(a, b) vuzp1q_f32(a, b)
#define BLOCK_VECTORS  4
#define UNARY_LOOP     skv_unary_scalar
#define SPARSE_LOOPS   skv_sparse_loops_neon
#define vec_four(p)    vec_load(p)

#include "kernels/sparse/sparse.h"
#include "kernels/unroll.h"

typedef uint32x4_t words;
#define words_load(p) vld1q_u32(p)

typedef struct looked {
    uint8x16x4_t low, high; /* entries 0 to 15 and 16 to 31 */
    vec first;              /* entry 0 in all lanes */
    const float *all;
} looked;

SKV_INLINE uint8x16x4_t sixteen(const float *table) {
    uint8x16x4_t t;
    SKV_UNROLL
    for (int i = 0; i < 4; i++) t.val[i] = vreinterpretq_u8_f32(vld1q_f32(table + 4 * i));
    return t;
}

SKV_INLINE looked look_at(const float *table, skv_sparse_lookup lookup) {
    looked t = {.first = vec_all(table[0]), .all = table};
    if (lookup == SKV_LOOKUP_16 || lookup == SKV_LOOKUP_32) t.low = sixteen(table);
    if (lookup == SKV_LOOKUP_32) t.high = sixteen(table + 16);
    return t;
}

/* The places of an entry's four bytes in the table. */
SKV_INLINE uint8x16_t bytes_of(words index) {
    return vreinterpretq_u8_u32(vaddq_u32(vmulq_n_u32(index, 0x04040404u), vdupq_n_u32(0x03020100u)));
}

SKV_INLINE vec look_up(const looked *t, skv_sparse_lookup lookup, words w, int shift) {
    const words at = vshlq_u32(w, vdupq_n_s32(-shift)), byte = vandq_u32(at, vdupq_n_u32(255));
    switch (lookup) {
    case SKV_LOOKUP_16: return vreinterpretq_f32_u8(vqtbl4q_u8(t->low, bytes_of(vandq_u32(at, vdupq_n_u32(15)))));
    case SKV_LOOKUP_32: {
        const uint8x16_t index = bytes_of(vandq_u32(at, vdupq_n_u32(31)));
        return vreinterpretq_f32_u8(vqtbx4q_u8(vqtbl4q_u8(t->low, index), t->high, vsubq_u8(index, vdupq_n_u8(64))));
    }
    case SKV_LOOKUP_LINEAR: return vec_add(t->first, vcvtq_f32_u32(byte));
    default:
        return (vec){t->all[vgetq_lane_u32(byte, 0)], t->all[vgetq_lane_u32(byte, 1)], t->all[vgetq_lane_u32(byte, 2)],
                     t->all[vgetq_lane_u32(byte, 3)]};
    }
}

#include "kernels/sparse/loops.h"
