/* ResNet-18 for 224x224 images (He et al. 2016): basic blocks. */
#include <stdio.h>

#include "zoo/resnet.h"

static skive_value *basic(skv_zoo_env *e, const char *name, skive_value *x, int64_t channels, int64_t stride) {
    char part[64];
    snprintf(part, sizeof part, "%s.conv1", name);
    skive_value *y =
        skv_zoo_conv_bn_relu(e, part, x, (skv_zoo_conv){.out = channels, .kernel = 3, .stride = stride, .pad = 1});
    snprintf(part, sizeof part, "%s.conv2", name);
    y = skv_zoo_conv2d(e, part, y, (skv_zoo_conv){.out = channels, .kernel = 3, .stride = 1, .pad = 1});
    snprintf(part, sizeof part, "%s.conv2.bn", name);
    return skv_zoo_resnet_join(e, name, x, skv_zoo_batchnorm(e, part, y), stride);
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_resnet_stages(e, x, (const int[]){2, 2, 2, 2}, basic);
}

const skv_zoo skv_zoo_resnet18 = {
    .name = "resnet18",
    .brief = "ResNet-18 for large images",
    SKV_OPTIONS(skv_zoo_width_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 224, 224, 1000),
    .build = build,
};
