/* The integer loops with NEON: what the compiler makes of the plain ones, and the products of depthwise convolutions,
 * where 16-bit numbers are multiplied into 32-bit sums. */
#include <arm_neon.h>

#include "kernels/int8/int8.h"
#include "kernels/unroll.h"

SKV_INLINE void add_taps(const uint8_t *const *x, const int taps, const int16_t *w, size_t w_stride,
                         uint32_t *restrict total, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        int32x4_t low = vreinterpretq_s32_u32(vld1q_u32(total + i)),
                  high = vreinterpretq_s32_u32(vld1q_u32(total + i + 4));
        SKV_UNROLL
        for (int t = 0; t < taps; t++) {
            const int16x8_t a = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x[t] + i))),
                            b = vld1q_s16(w + (size_t)t * w_stride + i);
            low = vmlal_s16(low, vget_low_s16(a), vget_low_s16(b));
            high = vmlal_high_s16(high, a, b);
        }
        vst1q_u32(total + i, vreinterpretq_u32_s32(low));
        vst1q_u32(total + i + 4, vreinterpretq_u32_s32(high));
    }
    for (; i < n; i++)
        for (int t = 0; t < taps; t++) total[i] += (uint32_t)(x[t][i] * w[(size_t)t * w_stride + i]);
}

#define LOOPS skv_q8_loops_neon
#define OWN_ADD_TAPS
#include "kernels/int8/loops_body.h"
