/* CRNN (Shi et al. 2017): convolutions, the columns of their result as steps, two bidirectional LSTM layers with a
 * layer between. It classifies the whole sample by the mean over the steps, or, for CTC, gives scores for every
 * step: [N] [steps][classes], the blank among the classes. */
#include <stdio.h>

#include <skive/output.h>

#include "base/base.h"
#include "zoo/zoo.h"

static const skv_option options[] = {
    SKV_ZOO_WIDTH,
    {.name = "per-step",
     .type = SKV_OPTION_SWITCH,
     .brief = "scores for every step, for CTC; otherwise for the sample"},
    {.name = "lengths",
     .type = SKV_OPTION_SWITCH,
     .brief = "one more input, 'lengths': how many columns of each sample count, counted from the left"},
};

/* Four columns of the sample are a step, and the last layer takes two steps of them as one. */
enum { COLUMNS = 4 };

/* A second input, and 1 for each step [N][steps] that counts. The value 'steps' [N] says how many they are, at least
 * one of each sample. */
static skive_value *count_columns(skv_zoo_env *e, int64_t steps) {
    skive_type type = {.dtype = SKIVE_I64, .rank = 1, .dims = {{-1, "N"}}};
    skive_value *lengths = NULL;
    int64_t *numbers = NULL;
    if (e->b.status == SKIVE_OK) e->b.status = skive_graph_add_input(e->b.graph, "lengths", &type, &lengths);
    skive_value *up = skv_zoo_op(e, "Add", SKV_ZOO_IN(lengths, SKV_ZOO_INTS(e, COLUMNS - 1)), SKV_ZOO_PLAIN);
    skive_value *pooled = skv_zoo_op(e, "Div", SKV_ZOO_IN(up, SKV_ZOO_INTS(e, COLUMNS)), SKV_ZOO_PLAIN);
    skive_value *n = skv_zoo_op(e, "Sub", SKV_ZOO_IN(pooled, SKV_ZOO_INTS(e, 1)), SKV_ZOO_PLAIN);
    n = skv_zoo_op(e, "Min", SKV_ZOO_IN(n, SKV_ZOO_INTS(e, steps)), SKV_ZOO_PLAIN);
    n = skv_zoo_op(e, "Max", SKV_ZOO_IN(n, SKV_ZOO_INTS(e, 1)), SKV_ZOO_PLAIN);
    if (e->b.status == SKIVE_OK) e->b.status = skive_value_rename(n, "steps");
    if (e->b.status == SKIVE_OK) e->b.status = skive_model_set_lengths(e->b.graph, "steps", 1);
    if (e->b.status == SKIVE_OK) e->b.status = skv_alloc_array(e->ctx, (size_t)steps + 1, sizeof *numbers, &numbers);
    for (int64_t i = 0; numbers && i < steps; i++) numbers[i] = i;
    skive_value *place = numbers ? skive_build_ints(&e->b, numbers, (size_t)steps) : NULL;
    skv_free(e->ctx, numbers);
    skive_value *each = skv_zoo_op(e, "Unsqueeze", SKV_ZOO_IN(n, SKV_ZOO_INTS(e, 1)), SKV_ZOO_PLAIN);
    skive_value *counts = skv_zoo_op(e, "Less", SKV_ZOO_IN(place, each), SKV_ZOO_PLAIN);
    return skv_zoo_op(e, "Cast", SKV_ZOO_IN(counts), SKV_ZOO_WITH(skive_attribute_int("to", SKIVE_F32)));
}

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
    x = columns_as_steps(e, skv_zoo_relu(e, x));
    skive_value *valid = skv_option_on(e->values, "lengths") ? count_columns(e, skv_zoo_dim(x, 1)) : NULL;
    x = skv_zoo_recurrent(e, x, valid, cells);
    x = skv_zoo_project(e, "between", x, hidden);
    cells.name = "lstm2";
    x = skv_zoo_recurrent(e, x, valid, cells);
    if (skv_option_on(e->values, "per-step")) return skv_zoo_project(e, "fc", x, classes);
    return skv_zoo_linear(e, "fc", skv_zoo_mean(e, x, valid), classes);
}

const skv_zoo skv_zoo_crnn = {
    .name = "crnn",
    .brief = "CRNN: convolutions, then LSTM over columns",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(1, 32, 100, 37),
    .build = build,
};
