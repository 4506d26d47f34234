/* ResNet-20 for small images (He et al. 2016, section 4.2): three stages of three basic blocks, 16, 32, 64 channels;
 * where a block changes the shape, the shortcut is a 1x1 convolution (option B). */
#include <stdio.h>

#include "zoo/zoo.h"

static skive_value *block(skv_zoo_env *e, const char *name, skive_value *x, int64_t out, int64_t stride) {
    char part[64];
    skive_value *shortcut = x;
    snprintf(part, sizeof part, "%s.conv1", name);
    skive_value *y =
        skv_zoo_conv_bn_relu(e, part, x, (skv_zoo_conv){.out = out, .kernel = 3, .stride = stride, .pad = 1});
    snprintf(part, sizeof part, "%s.conv2", name);
    y = skv_zoo_conv2d(e, part, y, (skv_zoo_conv){.out = out, .kernel = 3, .stride = 1, .pad = 1});
    snprintf(part, sizeof part, "%s.conv2.bn", name);
    y = skv_zoo_batchnorm(e, part, y);
    if (stride != 1 || skv_zoo_channels(x) != out) {
        snprintf(part, sizeof part, "%s.shortcut", name);
        shortcut = skv_zoo_conv2d(e, part, x, (skv_zoo_conv){.out = out, .kernel = 1, .stride = stride});
        snprintf(part, sizeof part, "%s.shortcut.bn", name);
        shortcut = skv_zoo_batchnorm(e, part, shortcut);
    }
    return skv_zoo_relu(e, skv_emit(&e->b, "Add", SKV_IN(y, shortcut), SKV_NONE));
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    char name[32];
    x = skv_zoo_conv_bn_relu(e, "conv1", x,
                             (skv_zoo_conv){.out = skv_zoo_scaled(e, 16), .kernel = 3, .stride = 1, .pad = 1});
    for (int s = 0; s < 3; s++) {
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "stage%d.block%d", s + 1, k + 1);
            x = block(e, name, x, skv_zoo_scaled(e, (int64_t)16 << s), s > 0 && k == 0 ? 2 : 1);
        }
    }
    return skv_zoo_linear(e, "fc", skv_zoo_global_pool(e, x), e->options->classes);
}

const skv_zoo skv_zoo_resnet20 = {
    .name = "resnet20",
    .brief = "ResNet-20 for small images (16, 32, 64 channels)",
    SKV_OPTIONS(skv_zoo_width_options),
    .sample_rank = 3,
    .build = build,
};
