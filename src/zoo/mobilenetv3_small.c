/* MobileNet v3 small (Howard et al. 2019): inverted residuals with squeeze and excitation and hard swish. Widths are
 * rounded to multiples of 8. On images under 64 pixels the first two strides are 1. */
#include <stdio.h>

#include "zoo/squeeze.h"

static const skv_option options[] = {SKV_ZOO_WIDTH, SKV_ZOO_DROPOUT(0.2)};

typedef struct row {
    int64_t kernel, expanded, out;
    bool squeeze, hard; /* hard swish; otherwise ReLU */
    int64_t stride;
} row;

static skive_value *hard_swish(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_op(e, "HardSwish", SKV_ZOO_IN(x), SKV_ZOO_PLAIN);
}

static int64_t wide(const skv_zoo_env *e, int64_t channels) { return skv_zoo_by_eight((double)channels * e->width); }

static skive_value *conv_bn(skv_zoo_env *e, const char *block, const char *part, skive_value *x, skv_zoo_conv c) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s", block, part);
    c.by_outputs = true;
    return skv_zoo_conv_bn(e, name, x, c);
}

static skive_value *inverted(skv_zoo_env *e, const char *name, skive_value *x, const row *r, int64_t stride) {
    const int64_t in = skv_zoo_channels(x), inner = wide(e, r->expanded), out = wide(e, r->out);
    const skv_zoo_function act = r->hard ? hard_swish : skv_zoo_relu;
    char part[64];
    skive_value *y = x;
    if (inner != in) y = act(e, conv_bn(e, name, "expand", y, (skv_zoo_conv){.out = inner, .kernel = 1}));
    y = act(e,
            conv_bn(e, name, "depthwise", y,
                    (skv_zoo_conv){
                        .out = inner, .kernel = r->kernel, .stride = stride, .pad = r->kernel / 2, .groups = inner}));
    snprintf(part, sizeof part, "%s.squeeze", name);
    if (r->squeeze) y = skv_zoo_squeeze(e, part, y, skv_zoo_by_eight((double)inner / 4), skv_zoo_relu, "HardSigmoid");
    y = conv_bn(e, name, "project", y, (skv_zoo_conv){.out = out, .kernel = 1});
    return stride == 1 && in == out ? skv_zoo_op(e, "Add", SKV_ZOO_IN(x, y), SKV_ZOO_PLAIN) : y;
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    static const row rows[] = {{3, 16, 16, true, false, 2}, {3, 72, 24, false, false, 2}, {3, 88, 24, false, false, 1},
                               {5, 96, 40, true, true, 2},  {5, 240, 40, true, true, 1},  {5, 240, 40, true, true, 1},
                               {5, 120, 48, true, true, 1}, {5, 144, 48, true, true, 1},  {5, 288, 96, true, true, 2},
                               {5, 576, 96, true, true, 1}, {5, 576, 96, true, true, 1}};
    const bool small = e->options->dims[1] < 64;
    char name[32];
    x = hard_swish(e, conv_bn(e, "stem", "conv", x,
                              (skv_zoo_conv){.out = wide(e, 16), .kernel = 3, .stride = small ? 1 : 2, .pad = 1}));
    for (size_t i = 0; i < SKV_LENGTH(rows); i++) {
        snprintf(name, sizeof name, "block%zu", i + 1);
        x = inverted(e, name, x, &rows[i], small && i == 0 ? 1 : rows[i].stride);
    }
    x = hard_swish(e, conv_bn(e, "head", "conv", x, (skv_zoo_conv){.out = 6 * skv_zoo_channels(x), .kernel = 1}));
    x = hard_swish(e, skv_zoo_linear(e, "fc1", skv_zoo_global_pool(e, x), wide(e, 1024)));
    return skv_zoo_linear(e, "fc2", skv_zoo_dropout(e, x), e->options->classes);
}

const skv_zoo skv_zoo_mobilenetv3_small = {
    .name = "mobilenetv3-small",
    .brief = "MobileNet v3 small, squeeze and excitation, hard swish",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 224, 224, 1000),
    .build = build,
};
