/* When oneDNN's Winograd convolution is asked for, for those who compare their time with it. */
#ifndef SKV_ONEDNN_WINOGRAD_PAYS_H
#define SKV_ONEDNN_WINOGRAD_PAYS_H

#include "ops/common_conv.h"

/* Measured: from 64 channels and 14x14 outputs on Winograd takes 0.55 to 0.85 of the direct time; on smaller outputs
 * its larger weights eat the gain up. */
static inline bool skv_dnnl_winograd_pays(const skv_conv_shape *s) {
    enum { CHANNELS = 64, SIDE = 14 };
    if (s->g.spatial != 2 || s->groups != 1 || s->c < CHANNELS || s->m < CHANNELS) return false;
    for (int axis = 1; axis < SKV_SPATIAL; axis++) {
        if (s->g.kernel[axis] != 3 || s->g.stride[axis] != 1 || s->g.dilation[axis] != 1 || s->g.out[axis] < SIDE)
            return false;
    }
    return true;
}

#endif
