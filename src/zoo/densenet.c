/* DenseNet-BC for small images (Huang et al. 2017): three stages in which every layer reads all results before it. By
 * default 40 layers and a growth of 12. */
#include <stdio.h>

#include "zoo/zoo.h"

static const skv_option options[] = {
    SKV_ZOO_COUNT("depth", 10, 1000, 40, "layers: 4 more than a multiple of 6"),
    SKV_ZOO_COUNT("growth", 1, 1024, 12, "channels that a layer adds"),
    {.name = "compression",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .fallback = 0.5,
     .brief = "fraction of channels that goes on to the next stage"},
    SKV_ZOO_DROPOUT(0),
};

static skive_value *bn_relu_conv(skv_zoo_env *e, const char *block, const char *part, skive_value *x, skv_zoo_conv c) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s.bn", block, part);
    x = skv_zoo_relu(e, skv_zoo_batchnorm(e, name, x));
    snprintf(name, sizeof name, "%s.%s", block, part);
    return skv_zoo_dropout(e, skv_zoo_conv2d(e, name, x, c));
}

static skive_value *stage(skv_zoo_env *e, int number, skive_value *x, int64_t layers, int64_t growth) {
    char name[40];
    for (int64_t i = 1; i <= layers; i++) {
        snprintf(name, sizeof name, "stage%d.layer%lld", number, (long long)i);
        skive_value *y = bn_relu_conv(e, name, "conv1", x, (skv_zoo_conv){.out = 4 * growth, .kernel = 1});
        y = bn_relu_conv(e, name, "conv2", y, (skv_zoo_conv){.out = growth, .kernel = 3, .pad = 1});
        x = skv_zoo_op(e, "Concat", SKV_ZOO_IN(x, y), SKV_ZOO_WITH(skive_attribute_int("axis", 1)));
    }
    return x;
}

static skive_value *transition(skv_zoo_env *e, int number, skive_value *x, double compression) {
    const int64_t left = (int64_t)((double)skv_zoo_channels(x) * compression);
    char name[16];
    snprintf(name, sizeof name, "stage%d", number);
    x = bn_relu_conv(e, name, "transition", x, (skv_zoo_conv){.out = left > 0 ? left : 1, .kernel = 1});
    return skv_zoo_op(e, "AveragePool", SKV_ZOO_IN(x),
                      SKV_ZOO_WITH(SKV_ZOO_LIST("kernel_shape", 2, 2), SKV_ZOO_LIST("strides", 2, 2)));
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    const int64_t depth = skv_option_integer(e->values, "depth"), growth = skv_option_integer(e->values, "growth");
    if (depth % 6 != 4) {
        return skv_zoo_refuse(e,
                              "depth=%lld: three stages of layers with two convolutions need 4 more than a multiple "
                              "of 6",
                              (long long)depth);
    }
    x = skv_zoo_conv2d(e, "conv1", x, (skv_zoo_conv){.out = 2 * growth, .kernel = 3, .pad = 1});
    for (int s = 1; s <= 3; s++) {
        x = stage(e, s, x, (depth - 4) / 6, growth);
        if (s < 3) x = transition(e, s, x, skv_option_real(e->values, "compression"));
    }
    x = skv_zoo_relu(e, skv_zoo_batchnorm(e, "norm", x));
    return skv_zoo_linear(e, "fc", skv_zoo_global_pool(e, x), e->options->classes);
}

const skv_zoo skv_zoo_densenet = {
    .name = "densenet",
    .brief = "DenseNet-BC for small images; by default 40 layers, growth 12",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 32, 32, 10),
    .build = build,
};
