/* The inner part of the depthwise convolution in f32, for each instruction set. */
#ifndef SKV_DEPTHWISE_H
#define SKV_DEPTHWISE_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

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

typedef void skv_depthwise_loop(const skv_depthwise_run *r);
skv_depthwise_loop skv_depthwise_scalar;

#endif
