/* VGG-16 with BatchNormalization (Simonyan & Zisserman 2015); the classifier in the form used on small images. */
#include <stdio.h>

#include "zoo/zoo.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    static const struct {
        int64_t channels;
        int convs;
    } stages[] = {{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}};
    char name[32];
    for (int s = 0; s < 5; s++) {
        for (int k = 0; k < stages[s].convs; k++) {
            snprintf(name, sizeof name, "stage%d.conv%d", s + 1, k + 1);
            x = skv_zoo_conv_bn_relu(
                e, name, x,
                (skv_zoo_conv){.out = skv_zoo_scaled(e, stages[s].channels), .kernel = 3, .stride = 1, .pad = 1});
        }
        x = skv_zoo_maxpool(e, x, 2, 2, 0);
    }
    x = skv_zoo_relu(e, skv_zoo_linear(e, "fc1", skv_zoo_flatten(e, x), skv_zoo_scaled(e, 512)));
    return skv_zoo_linear(e, "fc2", x, e->options->classes);
}

const skv_zoo skv_zoo_vgg16 = {
    .name = "vgg16",
    .brief = "VGG-16 with BatchNormalization, for images from 32x32",
    SKV_OPTIONS(skv_zoo_width_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 32, 32, 10),
    .build = build,
};
