/* EfficientNet-B0 (Tan & Le 2019): inverted residuals with squeeze and excitation and SiLU. Without the paper's
 * stochastic depth. Widths are rounded to multiples of 8. On images under 64 pixels the first two strides are 1. */
#include <stdio.h>

#include "zoo/squeeze.h"

static const skv_option options[] = {SKV_ZOO_WIDTH, SKV_ZOO_DROPOUT(0.2)};

static int64_t wide(const skv_zoo_env *e, int64_t channels) { return skv_zoo_by_eight((double)channels * e->width); }

static skive_value *conv_bn(skv_zoo_env *e, const char *block, const char *part, skive_value *x, skv_zoo_conv c) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s", block, part);
    c.by_outputs = true;
    return skv_zoo_conv_bn(e, name, x, c);
}

static skive_value *inverted(skv_zoo_env *e, const char *name, skive_value *x, int64_t expand, int64_t kernel,
                             int64_t out, int64_t stride) {
    const int64_t in = skv_zoo_channels(x), inner = in * expand;
    char part[64];
    skive_value *y = x;
    if (expand > 1) y = skv_zoo_silu(e, conv_bn(e, name, "expand", y, (skv_zoo_conv){.out = inner, .kernel = 1}));
    y = skv_zoo_silu(
        e,
        conv_bn(e, name, "depthwise", y,
                (skv_zoo_conv){.out = inner, .kernel = kernel, .stride = stride, .pad = kernel / 2, .groups = inner}));
    snprintf(part, sizeof part, "%s.squeeze", name);
    y = skv_zoo_squeeze(e, part, y, in >= 4 ? in / 4 : 1, skv_zoo_silu, "Sigmoid");
    y = conv_bn(e, name, "project", y, (skv_zoo_conv){.out = out, .kernel = 1});
    return stride == 1 && in == out ? skv_zoo_op(e, "Add", SKV_ZOO_IN(x, y), SKV_ZOO_PLAIN) : y;
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    static const struct {
        int64_t expand, kernel, stride, out;
        int repeat;
    } stages[] = {{1, 3, 1, 16, 1},  {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2}, {6, 3, 2, 80, 3},
                  {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4}, {6, 3, 1, 320, 1}};
    const bool small = e->options->dims[1] < 64;
    char name[32];
    x = skv_zoo_silu(e, conv_bn(e, "stem", "conv", x,
                                (skv_zoo_conv){.out = wide(e, 32), .kernel = 3, .stride = small ? 1 : 2, .pad = 1}));
    for (size_t s = 0; s < SKV_LENGTH(stages); s++) {
        for (int k = 0; k < stages[s].repeat; k++) {
            const int64_t stride = k > 0 || (small && s == 1) ? 1 : stages[s].stride;
            snprintf(name, sizeof name, "stage%zu.block%d", s + 1, k + 1);
            x = inverted(e, name, x, stages[s].expand, stages[s].kernel, wide(e, stages[s].out), stride);
        }
    }
    x = skv_zoo_silu(e, conv_bn(e, "head", "conv", x, (skv_zoo_conv){.out = wide(e, 1280), .kernel = 1}));
    return skv_zoo_linear(e, "fc", skv_zoo_dropout(e, skv_zoo_global_pool(e, x)), e->options->classes);
}

const skv_zoo skv_zoo_efficientnet_b0 = {
    .name = "efficientnet-b0",
    .brief = "EfficientNet-B0, squeeze and excitation, SiLU",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 224, 224, 1000),
    .build = build,
};
