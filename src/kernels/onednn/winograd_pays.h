/* When oneDNN's Winograd convolution is asked for, for those who compare their time with it. */
#ifndef SKV_ONEDNN_WINOGRAD_PAYS_H
#define SKV_ONEDNN_WINOGRAD_PAYS_H

#include "ops/conv/common_conv.h"

/* Measured with 2.6: from 64 channels and 14x14 outputs on Winograd takes 0.55 to 0.85 of the direct time; on smaller
 * outputs its larger weights eat the gain up. False with a version that has none. */
bool skv_dnnl_winograd_pays(const skv_conv_shape *s);

#endif
