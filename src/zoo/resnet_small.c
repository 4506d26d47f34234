/* The ResNets for small images (He et al. 2016, section 4.2): three stages of `blocks` basic blocks, 16, 32, 64
 * channels. Where a block changes the shape, the shortcut is a 1x1 convolution (option B of the paper), or every second
 * pixel with channels of zeros added before and behind (option A). */
#include <stdio.h>

#include "zoo/resnet.h"

static const char *const shortcuts[] = {"projection", "padding"};
static const char *shortcut_at(size_t i) { return i < SKV_LENGTH(shortcuts) ? shortcuts[i] : NULL; }

const skv_option skv_zoo_resnet_small_options[2] = {
    SKV_ZOO_WIDTH,
    {.name = "shortcut",
     .type = SKV_OPTION_CHOICE,
     .text = "projection",
     .choices = shortcut_at,
     .brief = "where the shape changes: a 1x1 convolution, or zeros for the new channels"},
};

static skive_value *padded(skv_zoo_env *e, skive_value *x, int64_t out, int64_t stride) {
    const int64_t more = out - skv_zoo_channels(x), before = more / 2;
    if (stride > 1)
        x = skv_zoo_op(e, "Slice",
                       SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 0, 0), SKV_ZOO_INTS(e, INT32_MAX, INT32_MAX),
                                  SKV_ZOO_INTS(e, 2, 3), SKV_ZOO_INTS(e, stride, stride)),
                       SKV_ZOO_PLAIN);
    skive_value *pads = SKV_ZOO_INTS(e, 0, before, 0, 0, 0, more - before, 0, 0);
    return more > 0 ? skv_zoo_op(e, "Pad", SKV_ZOO_IN(x, pads), SKV_ZOO_PLAIN) : x;
}

static skive_value *block(skv_zoo_env *e, const char *name, skive_value *x, int64_t out, int64_t stride) {
    char part[64];
    skive_value *shortcut = x;
    snprintf(part, sizeof part, "%s.conv1", name);
    skive_value *y =
        skv_zoo_conv_bn_relu(e, part, x, (skv_zoo_conv){.out = out, .kernel = 3, .stride = stride, .pad = 1});
    snprintf(part, sizeof part, "%s.conv2", name);
    y = skv_zoo_conv_bn(e, part, y, (skv_zoo_conv){.out = out, .kernel = 3, .stride = 1, .pad = 1});
    if (stride != 1 || skv_zoo_channels(x) != out) {
        snprintf(part, sizeof part, "%s.shortcut", name);
        shortcut = skv_option_text(e->values, "shortcut")[1] == 'a'
                       ? padded(e, x, out, stride)
                       : skv_zoo_conv_bn(e, part, x, (skv_zoo_conv){.out = out, .kernel = 1, .stride = stride});
    }
    return skv_zoo_relu(e, skv_zoo_op(e, "Add", SKV_ZOO_IN(y, shortcut), SKV_ZOO_PLAIN));
}

skive_value *skv_zoo_resnet_small(skv_zoo_env *e, skive_value *x, int blocks) {
    char name[32];
    x = skv_zoo_conv_bn_relu(e, "conv1", x,
                             (skv_zoo_conv){.out = skv_zoo_scaled(e, 16), .kernel = 3, .stride = 1, .pad = 1});
    for (int s = 0; s < 3; s++) {
        for (int k = 0; k < blocks; k++) {
            snprintf(name, sizeof name, "stage%d.block%d", s + 1, k + 1);
            x = block(e, name, x, skv_zoo_scaled(e, (int64_t)16 << s), s > 0 && k == 0 ? 2 : 1);
        }
    }
    return skv_zoo_linear(e, "fc", skv_zoo_global_pool(e, x), e->options->classes);
}
