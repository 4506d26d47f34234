/* Shared by InstanceNormalization and GroupNormalization: mean 0 and variance 1 over groups of channels and all
 * positions, then a scale and a bias per channel (Wu & He, 2018; Ulyanov et al., 2016). */
#ifndef SKV_OPS_COMMON_GROUP_NORM_H
#define SKV_OPS_COMMON_GROUP_NORM_H

#include "ops/common_nn.h"

skive_status skv_group_norm_infer(skv_infer *c);
skive_status skv_group_norm_run(const skv_eval *c, int64_t groups);
/* Inputs x [n][c][d...], scale, bias. The rank and the channels of x must be known. */
skive_status skv_group_norm_grad(skv_grad *c, int64_t groups);

#endif
