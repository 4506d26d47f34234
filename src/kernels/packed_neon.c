/* Products with packed weights, inner loops for NEON. */
#include <arm_neon.h>

static inline float32x4_t bytes4(const uint8_t *p) {
    const float x[4] = {(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
    return vld1q_f32(x);
}

#define LOOPS                 skv_packed_loops_neon
#define VECTOR                float32x4_t
#define LANES                 4
#define LOAD(p)               vld1q_f32(p)
#define STORE(p, v)           vst1q_f32(p, v)
#define ZERO()                vdupq_n_f32(0)
#define SET(x)                vdupq_n_f32(x)
#define MULTIPLY_ADD(a, b, c) vfmaq_f32(c, a, b)
#define BYTES(p)              bytes4(p)
#define HALVES(p)             vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)))
#include "kernels/packed_loops.h"
