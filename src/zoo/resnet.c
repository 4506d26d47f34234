/* Stem, stages and shortcuts of the ResNets for large images (He et al. 2016). */
#include "zoo/resnet.h"

#include <stdio.h>

skive_value *skv_zoo_resnet_join(skv_zoo_env *e, const char *name, skive_value *x, skive_value *y, int64_t stride) {
    char part[80];
    const int64_t out = skv_zoo_channels(y);
    if (stride != 1 || skv_zoo_channels(x) != out) {
        snprintf(part, sizeof part, "%s.shortcut", name);
        x = skv_zoo_conv2d(e, part, x, (skv_zoo_conv){.out = out, .kernel = 1, .stride = stride});
        snprintf(part, sizeof part, "%s.shortcut.bn", name);
        x = skv_zoo_batchnorm(e, part, x);
    }
    return skv_zoo_relu(e, skv_zoo_op(e, "Add", SKV_ZOO_IN(y, x), SKV_ZOO_PLAIN));
}

skive_value *skv_zoo_resnet_stages(skv_zoo_env *e, skive_value *x, const int blocks[4], skv_zoo_block_fn block) {
    char name[32];
    x = skv_zoo_conv_bn_relu(e, "conv1", x,
                             (skv_zoo_conv){.out = skv_zoo_scaled(e, 64), .kernel = 7, .stride = 2, .pad = 3});
    x = skv_zoo_maxpool(e, x, 3, 2, 1);
    for (int s = 0; s < 4; s++) {
        for (int k = 0; k < blocks[s]; k++) {
            snprintf(name, sizeof name, "stage%d.block%d", s + 1, k + 1);
            x = block(e, name, x, skv_zoo_scaled(e, (int64_t)64 << s), s > 0 && k == 0 ? 2 : 1);
        }
    }
    return skv_zoo_linear(e, "fc", skv_zoo_global_pool(e, x), e->options->classes);
}
