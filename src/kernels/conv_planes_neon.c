/* Convolution over padded planes, its inner part for NEON. */
#include <arm_neon.h>

#define TILE                  skv_planes_tile_neon
#define VECTOR                float32x4_t
#define LANES                 4
#define TILE_ROWS             8
#define LOAD(p)               vld1q_f32(p)
#define STORE(p, v)           vst1q_f32(p, v)
#define ZERO()                vdupq_n_f32(0)
#define SET(x)                vdupq_n_f32(x)
#define MULTIPLY_ADD(a, b, c) vfmaq_f32(c, a, b)
#include "kernels/conv_planes_tile.h"
