/* SqueezeNet 1.1 (Iandola et al. 2016; the authors' faster release): fire modules, in which few 1x1 filters feed 1x1
 * and 3x3 filters side by side. On images under 64 pixels the first stride is 1. */
#include <stdio.h>

#include "zoo/zoo.h"

static const skv_option options[] = {SKV_ZOO_WIDTH, SKV_ZOO_DROPOUT(0.5)};

static skive_value *conv_relu(skv_zoo_env *e, const char *block, const char *part, skive_value *x, skv_zoo_conv c) {
    char name[48];
    snprintf(name, sizeof name, "%s.%s", block, part);
    c.bias = true;
    return skv_zoo_relu(e, skv_zoo_conv2d(e, name, x, c));
}

static skive_value *fire(skv_zoo_env *e, int number, skive_value *x, int64_t few, int64_t many) {
    char name[16];
    snprintf(name, sizeof name, "fire%d", number);
    x = conv_relu(e, name, "squeeze", x, (skv_zoo_conv){.out = skv_zoo_scaled(e, few), .kernel = 1});
    skive_value *one = conv_relu(e, name, "expand1", x, (skv_zoo_conv){.out = skv_zoo_scaled(e, many), .kernel = 1});
    skive_value *three =
        conv_relu(e, name, "expand3", x, (skv_zoo_conv){.out = skv_zoo_scaled(e, many), .kernel = 3, .pad = 1});
    return skv_zoo_op(e, "Concat", SKV_ZOO_IN(one, three), SKV_ZOO_WITH(skive_attribute_int("axis", 1)));
}

/* Of windows of 3 with stride 2; a last window may reach over the edge. */
static skive_value *pooled(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_op(e, "MaxPool", SKV_ZOO_IN(x),
                      SKV_ZOO_WITH(SKV_ZOO_LIST("kernel_shape", 3, 3), SKV_ZOO_LIST("strides", 2, 2),
                                   skive_attribute_int("ceil_mode", 1)));
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    const bool small = e->options->dims[1] < 64;
    x = conv_relu(
        e, "stem", "conv", x,
        (skv_zoo_conv){.out = skv_zoo_scaled(e, 64), .kernel = 3, .stride = small ? 1 : 2, .pad = small ? 1 : 0});
    x = fire(e, 3, fire(e, 2, pooled(e, x), 16, 64), 16, 64);
    x = fire(e, 5, fire(e, 4, pooled(e, x), 32, 128), 32, 128);
    x = fire(e, 7, fire(e, 6, pooled(e, x), 48, 192), 48, 192);
    x = skv_zoo_dropout(e, fire(e, 9, fire(e, 8, x, 64, 256), 64, 256));
    x = conv_relu(e, "head", "conv", x, (skv_zoo_conv){.out = e->options->classes, .kernel = 1});
    return skv_zoo_global_pool(e, x);
}

const skv_zoo skv_zoo_squeezenet = {
    .name = "squeezenet",
    .brief = "SqueezeNet 1.1, fire modules",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 224, 224, 1000),
    .build = build,
};
