/* A small VGG for small images: three stages of two 3x3 convolutions with BatchNormalization, halved by pooling. */
#include <stdio.h>

#include "zoo/zoo.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    static const int64_t stages[] = {32, 64, 128};
    char name[32];
    for (int s = 0; s < 3; s++) {
        for (int k = 0; k < 2; k++) {
            if (s == 0 && k == 1) continue; /* at full resolution one is enough */
            snprintf(name, sizeof name, "stage%d.conv%d", s + 1, k + 1);
            x = skv_zoo_conv_bn_relu(
                e, name, x, (skv_zoo_conv){.out = skv_zoo_scaled(e, stages[s]), .kernel = 3, .stride = 1, .pad = 1});
        }
        x = skv_zoo_maxpool(e, x, 2, 2, 0);
    }
    x = skv_zoo_relu(e, skv_zoo_linear(e, "fc1", skv_zoo_flatten(e, x), skv_zoo_scaled(e, 256)));
    return skv_zoo_linear(e, "fc2", x, e->options->classes);
}

const skv_zoo skv_zoo_vgg_small = {
    .name = "vgg-small",
    .brief = "five 3x3 convolutions with BatchNormalization in three stages (32, 64, 128), one hidden layer",
    SKV_OPTIONS(skv_zoo_width_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 32, 32, 10),
    .build = build,
};
