/* U-Net (Ronneberger et al. 2015) with padded convolutions and BatchNormalization, as it is mostly used: stages of two
 * convolutions, each at half the size of the one before and with twice its channels, and the way back by transposed
 * convolutions, joined with what had this size before. It gives scores for every pixel, [N][classes][h][w]. */
#include <stdio.h>

#include "zoo/zoo.h"

static const skv_option options[] = {
    SKV_ZOO_WIDTH,
    SKV_ZOO_COUNT("depth", 0, 8, 0, "times the size is halved; 0: as often as it can be, at most 4"),
};

static skive_value *stage(skv_zoo_env *e, const char *name, skive_value *x, int64_t channels) {
    char part[40];
    for (int i = 1; i <= 2; i++) {
        snprintf(part, sizeof part, "%s.conv%d", name, i);
        x = skv_zoo_conv_bn_relu(e, part, x, (skv_zoo_conv){.out = channels, .kernel = 3, .pad = 1});
    }
    return x;
}

static skive_value *doubled(skv_zoo_env *e, const char *name, skive_value *x, int64_t out) {
    const int64_t in = skv_zoo_channels(x);
    char part[40];
    snprintf(part, sizeof part, "%s.up", name);
    skive_value *w = skv_zoo_param(e, part, "weight", 4, (const int64_t[]){in, out, 2, 2}, SKV_ZOO_HE, in, true);
    skive_value *b = skv_zoo_param(e, part, "bias", 1, &out, SKV_ZOO_ZERO, 0, true);
    return skv_zoo_layer(e, part, "ConvTranspose", SKV_ZOO_IN(x, w, b),
                         SKV_ZOO_WITH(SKV_ZOO_LIST("kernel_shape", 2, 2), SKV_ZOO_LIST("strides", 2, 2)));
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    skive_value *before[9] = {NULL};
    const int64_t asked = skv_option_integer(e->values, "depth"), h = e->options->dims[1], w = e->options->dims[2];
    int64_t most = 0;
    char name[16];
    while (most < (asked ? asked : 4) && h % (2LL << most) == 0 && w % (2LL << most) == 0) most++;
    if (most < 1 || most < asked)
        return skv_zoo_refuse(e, "images of %lldx%lld can be halved only %lld times without a rest (depth=N)",
                              (long long)h, (long long)w, (long long)most);
    for (int64_t d = 0; d <= most; d++) {
        if (d > 0) x = skv_zoo_maxpool(e, x, 2, 2, 0);
        snprintf(name, sizeof name, "down%lld", (long long)d);
        x = before[d] = stage(e, name, x, skv_zoo_scaled(e, (int64_t)64 << d));
    }
    for (int64_t d = most; d-- > 0;) {
        const int64_t channels = skv_zoo_scaled(e, (int64_t)64 << d);
        snprintf(name, sizeof name, "up%lld", (long long)d);
        x = doubled(e, name, x, channels);
        x = skv_zoo_op(e, "Concat", SKV_ZOO_IN(before[d], x), SKV_ZOO_WITH(skive_attribute_int("axis", 1)));
        x = stage(e, name, x, channels);
    }
    return skv_zoo_conv2d(e, "head", x, (skv_zoo_conv){.out = e->options->classes, .kernel = 1, .bias = true});
}

const skv_zoo skv_zoo_unet = {
    .name = "unet",
    .brief = "U-Net: scores for every pixel",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 256, 256, 2),
    .build = build,
};
