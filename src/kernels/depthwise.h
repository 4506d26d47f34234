/* What the depthwise convolution in f32 and its gradients share: their inner parts, for each instruction set. */
#ifndef SKV_DEPTHWISE_H
#define SKV_DEPTHWISE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel.h"

/* Positions side by side that need the same taps of their windows. */
typedef struct skv_depthwise_run {
    int64_t positions, channels;
    int64_t x_step; /* floats from a position's window to the next one's */
    size_t taps;
    const float *const *x; /* [taps] the channels under each tap, of the first position */
    const float *const *w; /* [taps][channels] */
    const float *bias;     /* [channels] */
    float *y;              /* [positions][channels]; may not be x */
} skv_depthwise_run;

/* dw[channels] += the sum over positions of x times dy. */
typedef struct skv_depthwise_sums {
    int64_t positions, channels;
    int64_t x_step;  /* floats from a position's tap to the next one's */
    const float *x;  /* the channels under the tap, of the first position */
    const float *dy; /* [positions][channels] */
    float *dw;
} skv_depthwise_sums;

typedef struct skv_depthwise_loops {
    void (*run)(const skv_depthwise_run *r);
    void (*sums)(const skv_depthwise_sums *s);
} skv_depthwise_loops;
extern const skv_depthwise_loops skv_depthwise_scalar, skv_depthwise_avx2, skv_depthwise_avx512, skv_depthwise_neon;
const skv_depthwise_loops *skv_depthwise_of(skv_isa isa);

enum { SKV_DEPTHWISE_TAPS = 1024 }; /* of the largest window, 32x32 */
/* Is a convolution of these types depthwise, one channel in and one out a group, with a window that is served? */
bool skv_depthwise_suits(const skive_type *x, const skive_type *w, int64_t groups, skv_why *why);

#endif
