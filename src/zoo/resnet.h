/* What the ResNets for large images share, and those for small ones. */
#ifndef SKV_ZOO_RESNET_H
#define SKV_ZOO_RESNET_H

#include "zoo/zoo.h"

typedef skive_value *(*skv_zoo_block_fn)(skv_zoo_env *e, const char *name, skive_value *x, int64_t channels,
                                         int64_t stride);
/* Stem, four stages of blocks[i] blocks at 64, 128, 256, 512 channels, pooling, classifier. */
skive_value *skv_zoo_resnet_stages(skv_zoo_env *e, skive_value *x, const int blocks[4], skv_zoo_block_fn block);
/* ReLU of y plus the shortcut from x (projected when the shape changed). */
skive_value *skv_zoo_resnet_join(skv_zoo_env *e, const char *name, skive_value *x, skive_value *y, int64_t stride);

extern const skv_option skv_zoo_resnet_small_options[2];
/* Stem, three stages of `blocks` blocks at 16, 32, 64 channels, pooling, classifier. */
skive_value *skv_zoo_resnet_small(skv_zoo_env *e, skive_value *x, int blocks);

#endif
