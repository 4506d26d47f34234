/* ResNet-50 for 224x224 images (He et al. 2016): bottleneck blocks with the stride on the 3x3 convolution. */
#include <stdio.h>

#include "zoo/resnet.h"

static skive_value *bottleneck(skv_zoo_env *e, const char *name, skive_value *x, int64_t channels, int64_t stride) {
    char part[64];
    snprintf(part, sizeof part, "%s.conv1", name);
    skive_value *y = skv_zoo_conv_bn_relu(e, part, x, (skv_zoo_conv){.out = channels, .kernel = 1, .stride = 1});
    snprintf(part, sizeof part, "%s.conv2", name);
    y = skv_zoo_conv_bn_relu(e, part, y, (skv_zoo_conv){.out = channels, .kernel = 3, .stride = stride, .pad = 1});
    snprintf(part, sizeof part, "%s.conv3", name);
    y = skv_zoo_conv2d(e, part, y, (skv_zoo_conv){.out = 4 * channels, .kernel = 1, .stride = 1});
    snprintf(part, sizeof part, "%s.conv3.bn", name);
    return skv_zoo_resnet_join(e, name, x, skv_zoo_batchnorm(e, part, y), stride);
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_resnet_stages(e, x, (const int[]){3, 4, 6, 3}, bottleneck);
}

const skv_zoo skv_zoo_resnet50 = {
    .name = "resnet50",
    .brief = "ResNet-50 for large images",
    SKV_OPTIONS(skv_zoo_width_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 224, 224, 1000),
    .build = build,
};
