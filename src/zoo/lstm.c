/* One LSTM (Hochreiter & Schmidhuber 1997) over a sample's rows, and a layer from its last state. */
#include "zoo/zoo.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    x = skv_zoo_recurrent(e, "LSTM", "lstm", x, skv_zoo_scaled(e, 128));
    return skv_zoo_linear(e, "fc", x, e->options->classes);
}

const skv_zoo skv_zoo_lstm = {
    .name = "lstm",
    .brief = "LSTM of 128 units over the rows of a sample",
    SKV_OPTIONS(skv_zoo_width_options),
    .build = build,
};
