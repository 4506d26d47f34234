/* MobileNet v2 (Sandler et al. 2018): inverted residuals with linear bottlenecks. On images under 64 pixels the first
 * two strides are 1. */
#include <stdio.h>

#include "zoo/zoo.h"

static skive_value *relu6(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_op(e, "Clip", SKV_ZOO_IN(x, skive_build_number(&e->b, 0), skive_build_number(&e->b, 6)),
                      SKV_ZOO_PLAIN);
}

static skive_value *conv_bn(skv_zoo_env *e, const char *block, const char *part, skive_value *x, skv_zoo_conv c) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s", block, part);
    return skv_zoo_conv_bn(e, name, x, c);
}

static skive_value *inverted(skv_zoo_env *e, const char *name, skive_value *x, int64_t expand, int64_t out,
                             int64_t stride) {
    const int64_t in = skv_zoo_channels(x), hidden = in * expand;
    skive_value *y = x;
    if (expand > 1)
        y = relu6(e, conv_bn(e, name, "expand", y, (skv_zoo_conv){.out = hidden, .kernel = 1, .stride = 1}));
    y = relu6(e, conv_bn(e, name, "depthwise", y,
                         (skv_zoo_conv){.out = hidden, .kernel = 3, .stride = stride, .pad = 1, .groups = hidden}));
    y = conv_bn(e, name, "project", y, (skv_zoo_conv){.out = out, .kernel = 1, .stride = 1});
    return stride == 1 && in == out ? skv_zoo_op(e, "Add", SKV_ZOO_IN(x, y), SKV_ZOO_PLAIN) : y;
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    static const struct {
        int64_t expand, out;
        int repeat;
        int64_t stride;
    } stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                  {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    const bool small = e->options->dims[1] < 64;
    char name[32];
    x = relu6(e, conv_bn(e, "stem", "conv", x,
                         (skv_zoo_conv){.out = skv_zoo_scaled(e, 32), .kernel = 3, .stride = small ? 1 : 2, .pad = 1}));
    for (size_t s = 0; s < sizeof stages / sizeof stages[0]; s++) {
        for (int k = 0; k < stages[s].repeat; k++) {
            const int64_t stride = k > 0 || (small && s == 1) ? 1 : stages[s].stride;
            snprintf(name, sizeof name, "stage%zu.block%d", s + 1, k + 1);
            x = inverted(e, name, x, stages[s].expand, skv_zoo_scaled(e, stages[s].out), stride);
        }
    }
    x = relu6(e,
              conv_bn(e, "head", "conv", x, (skv_zoo_conv){.out = skv_zoo_scaled(e, 1280), .kernel = 1, .stride = 1}));
    return skv_zoo_linear(e, "fc", skv_zoo_global_pool(e, x), e->options->classes);
}

const skv_zoo skv_zoo_mobilenetv2 = {
    .name = "mobilenetv2",
    .brief = "MobileNet v2, inverted residuals",
    SKV_OPTIONS(skv_zoo_width_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 224, 224, 1000),
    .build = build,
};
