/* MobileNet v1 (Howard et al. 2017): depthwise separable convolutions. On images under 64 pixels the first stride is
 * 1. */
#include <stdio.h>

#include "zoo/zoo.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    static const struct {
        int64_t out, stride;
    } layers[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                  {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
    char name[32];
    const int64_t first_stride = e->options->dims[1] < 64 ? 1 : 2;
    x = skv_zoo_conv_bn_relu(
        e, "conv1", x, (skv_zoo_conv){.out = skv_zoo_scaled(e, 32), .kernel = 3, .stride = first_stride, .pad = 1});
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const int64_t in = skv_zoo_channels(x);
        snprintf(name, sizeof name, "block%zu.depthwise", i + 1);
        x = skv_zoo_conv_bn_relu(
            e, name, x, (skv_zoo_conv){.out = in, .kernel = 3, .stride = layers[i].stride, .pad = 1, .groups = in});
        snprintf(name, sizeof name, "block%zu.pointwise", i + 1);
        x = skv_zoo_conv_bn_relu(e, name, x,
                                 (skv_zoo_conv){.out = skv_zoo_scaled(e, layers[i].out), .kernel = 1, .stride = 1});
    }
    return skv_zoo_linear(e, "fc", skv_zoo_global_pool(e, x), e->options->classes);
}

const skv_zoo skv_zoo_mobilenet = {
    .name = "mobilenet",
    .brief = "MobileNet v1, depthwise separable convolutions",
    SKV_OPTIONS(skv_zoo_width_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 224, 224, 1000),
    .build = build,
};
