/* Layers of GRU (Cho et al. 2014) over a sample's tokens or rows, and a layer from the last states. */
#include "zoo/recurrent.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) { return skv_zoo_classify_recurrent(e, x, "GRU", "gru"); }

const skv_zoo skv_zoo_gru = {
    .name = "gru",
    .brief = "GRU of 128 units over tokens or the rows of a sample",
    SKV_OPTIONS(skv_zoo_recurrent_options),
    .takes_tokens = true,
    .usual = {.rank = 2, .dims = {28, 28}, .classes = 10},
    .build = build,
};
