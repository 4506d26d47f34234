/* The depthwise convolution, compiled for NEON. */
#include <arm_neon.h>

#define DEPTHWISE_LOOPS       skv_depthwise_neon
#define VECTOR                float32x4_t
#define LANES                 4
#define LOAD(p)               vld1q_f32(p)
#define STORE(p, v)           vst1q_f32(p, v)
#define MULTIPLY_ADD(a, b, c) vfmaq_f32(c, a, b)
#include "kernels/depthwise_loops.h"
