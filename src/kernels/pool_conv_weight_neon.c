/* The gradient of a convolution's weight through MaxPool, compiled for NEON: eight numbers are two vectors. */
#include <arm_neon.h>

static inline float32x4x2_t spread(float x) { return (float32x4x2_t){{vdupq_n_f32(x), vdupq_n_f32(x)}}; }
static inline float32x4x2_t load(const float *p) { return (float32x4x2_t){{vld1q_f32(p), vld1q_f32(p + 4)}}; }
static inline void store(float *p, float32x4x2_t v) {
    vst1q_f32(p, v.val[0]);
    vst1q_f32(p + 4, v.val[1]);
}
static inline float32x4x2_t add(float32x4x2_t a, float32x4x2_t b) {
    return (float32x4x2_t){{vaddq_f32(a.val[0], b.val[0]), vaddq_f32(a.val[1], b.val[1])}};
}
static inline float32x4x2_t multiply_add(float32x4x2_t a, float32x4x2_t b, float32x4x2_t c) {
    return (float32x4x2_t){{vfmaq_f32(c.val[0], a.val[0], b.val[0]), vfmaq_f32(c.val[1], a.val[1], b.val[1])}};
}

#define PCW_UNROLLED
#define PCW_LOOPS                 skv_pcw_neon
#define PCW_VECTOR                float32x4x2_t
#define PCW_LOAD(p)               load(p)
#define PCW_STORE(p, v)           store(p, v)
#define PCW_SPREAD(x)             spread(x)
#define PCW_ADD(a, b)             add(a, b)
#define PCW_MULTIPLY_ADD(a, b, c) multiply_add(a, b, c)
#include "kernels/pool_conv_weight_loops.h"
