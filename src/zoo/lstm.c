/* Layers of LSTM (Hochreiter & Schmidhuber 1997) over a sample's tokens or rows, and a layer from the last states. */
#include "zoo/recurrent.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) { return skv_zoo_classify_recurrent(e, x, "LSTM", "lstm"); }

const skv_zoo skv_zoo_lstm = {
    .name = "lstm",
    .brief = "LSTM of 128 units over tokens or the rows of a sample",
    SKV_OPTIONS(skv_zoo_recurrent_options),
    .takes_tokens = true,
    .usual = {.rank = 2, .dims = {28, 28}, .classes = 10},
    .build = build,
};
