/* DS-CNN for keywords (Zhang et al. 2017, "Hello Edge"), as MLPerf Tiny has it: a convolution of 10 frames by 4
 * features with stride 2, four depthwise separable blocks of 64 channels, pooling. Convolutions have no bias, since a
 * normalisation follows. Samples are [1][frames][features], for instance 49 frames of 10 MFCC. */
#include <stdio.h>

#include "zoo/zoo.h"

static const skv_option options[] = {
    SKV_ZOO_WIDTH,
    SKV_ZOO_COUNT("blocks", 1, 64, 4, "depthwise separable blocks"),
    SKV_ZOO_DROPOUT(0.2),
};

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    const int64_t channels = skv_zoo_scaled(e, 64), blocks = skv_option_integer(e->values, "blocks");
    char name[48];
    x = skv_zoo_conv_bn_relu(e, "conv1", x,
                             (skv_zoo_conv){.out = channels, .kernel = 10, .kernel_w = 4, .stride = 2, .same = true});
    for (int64_t i = 1; i <= blocks; i++) {
        snprintf(name, sizeof name, "block%lld.depthwise", (long long)i);
        x = skv_zoo_conv_bn_relu(e, name, x,
                                 (skv_zoo_conv){.out = channels, .kernel = 3, .pad = 1, .groups = channels});
        snprintf(name, sizeof name, "block%lld.pointwise", (long long)i);
        x = skv_zoo_conv_bn_relu(e, name, x, (skv_zoo_conv){.out = channels, .kernel = 1});
    }
    return skv_zoo_linear(e, "fc", skv_zoo_dropout(e, skv_zoo_global_pool(e, x)), e->options->classes);
}

const skv_zoo skv_zoo_ds_cnn = {
    .name = "ds-cnn",
    .brief = "DS-CNN for keywords, over frames of sound",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(1, 49, 10, 12),
    .build = build,
};
