/* The products of the attention kernel with NEON. */
#include <arm_neon.h>

typedef float32x4_t vec;
enum { LANES = 4 };
#define vec_load(p)      vld1q_f32(p)
#define vec_store(p, v)  vst1q_f32(p, v)
#define vec_all(x)       vdupq_n_f32(x)
#define vec_fma(a, b, c) vfmaq_f32(c, a, b)
#define vec_sum(a, b)    vaddq_f32(a, b)
#define ATTENTION_LOOPS  skv_attention_loops_neon
#include "kernels/attention_loops.h"
