/* CRNN (Shi et al. 2017): convolutions, the columns of their result as steps, two bidirectional LSTM layers with a
 * layer between. It classifies the whole sample by the mean over the steps, or, for CTC, gives scores for every
 * step: [N] [steps][classes], the blank among the classes. */
#include <stdio.h>

#include "zoo/zoo.h"

static const skv_option options[] = {
    SKV_ZOO_WIDTH,
    {.name = "per-step",
     .type = SKV_OPTION_SWITCH,
     .brief = "scores for every step, for CTC; otherwise for the sample"},
};

static skive_value *conv(skv_zoo_env *e, int number, skive_value *x, int64_t out, bool norm) {
    char name[16];
    snprintf(name, sizeof name, "conv%d", number);
    const skv_zoo_conv c = {.out = skv_zoo_scaled(e, out), .kernel = 3, .pad = 1, .bias = true};
    return norm ? skv_zoo_conv_bn_relu(e, name, x, c) : skv_zoo_relu(e, skv_zoo_conv2d(e, name, x, c));
}

/* Halves the height, and the width too if told. */
static skive_value *pooled(skv_zoo_env *e, skive_value *x, bool width) {
    const int64_t w = width ? 2 : 1;
    return skv_zoo_op(e, "MaxPool", SKV_ZOO_IN(x),
                      SKV_ZOO_WITH(SKV_ZOO_LIST("kernel_shape", 2, w), SKV_ZOO_LIST("strides", 2, w)));
}

/* [N][c][h][w] as w steps of what stands in a column. */
static skive_value *columns_as_steps(skv_zoo_env *e, skive_value *x) {
    x = skv_zoo_op(e, "Transpose", SKV_ZOO_IN(x), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 0, 3, 1, 2)));
    return skv_zoo_op(e, "Reshape", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 0, 0, -1)), SKV_ZOO_PLAIN);
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    const int64_t hidden = skv_zoo_scaled(e, 256), classes = e->options->classes;
    skv_zoo_cells cells = {.op = "LSTM", .name = "lstm1", .hidden = hidden, .layers = 1, .both = true, .every = true};
    x = pooled(e, conv(e, 1, x, 64, false), true);
    x = pooled(e, conv(e, 2, x, 128, false), true);
    x = conv(e, 4, conv(e, 3, x, 256, false), 256, false);
    x = pooled(e, x, false);
    x = conv(e, 6, conv(e, 5, x, 512, true), 512, true);
    x = pooled(e, x, false);
    /* 2x2 without padding, on images of less than 32 lines what is left of the height */
    x = skv_zoo_conv2d(
        e, "conv7", x,
        (skv_zoo_conv){
            .out = skv_zoo_scaled(e, 512), .kernel = skv_zoo_dim(x, 2) > 1 ? 2 : 1, .kernel_w = 2, .bias = true});
    x = skv_zoo_recurrent(e, columns_as_steps(e, skv_zoo_relu(e, x)), NULL, cells);
    x = skv_zoo_project(e, "between", x, hidden);
    cells.name = "lstm2";
    x = skv_zoo_recurrent(e, x, NULL, cells);
    if (skv_option_on(e->values, "per-step")) return skv_zoo_project(e, "fc", x, classes);
    return skv_zoo_linear(e, "fc", skv_zoo_mean(e, x, NULL), classes);
}

const skv_zoo skv_zoo_crnn = {
    .name = "crnn",
    .brief = "CRNN: convolutions, then LSTM over columns",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(1, 32, 100, 37),
    .build = build,
};
