/* An activation [n][c][spatial] seen by kernels that work channel block by channel block: in any layout it is runs of
 * `lanes` channels, one run a position. Plain data has one lane, so that its positions are the contiguous axis. */
#ifndef SKV_KERNEL_CHANNELS_H
#define SKV_KERNEL_CHANNELS_H

#include "kernels/kernel.h"

typedef struct skv_channels {
    int64_t n, c, s;                               /* batch, channels, positions */
    int64_t blocks, lanes;                         /* c in runs of lanes; the last run may be padding in part */
    int64_t batch_step, block_step, position_step; /* in elements */
} skv_channels;

/* Of a value of rank >= 2 (rank 2: one position). */
static inline skv_channels skv_channels_of(const skive_type *t, skv_layout layout) {
    skv_channels x = {.n = t->dims[0].size, .c = t->dims[1].size, .s = 1};
    for (int d = 2; d < t->rank; d++) x.s *= t->dims[d].size;
    x.lanes = layout == SKV_C16 ? 16 : layout == SKV_C8 ? 8 : layout == SKV_NHWC || t->rank == 2 ? x.c : 1;
    x.blocks = x.lanes ? (x.c + x.lanes - 1) / x.lanes : 0;
    x.position_step = x.lanes;
    x.block_step = x.lanes * x.s;
    x.batch_step = x.block_step * x.blocks;
    return x;
}

#endif
