/* The recurrent classifiers: tokens or rows, layers of cells, the last states, a layer from them. */
#include "zoo/recurrent.h"

const skv_option skv_zoo_recurrent_options[7] = {
    SKV_ZOO_WIDTH,
    SKV_ZOO_COUNT("layers", 1, 16, 1, "recurrent layers, each over the results of the one before"),
    {.name = "bidirectional", .type = SKV_OPTION_SWITCH, .brief = "every layer reads in both directions"},
    SKV_ZOO_COUNT("embed", 1, 65536, 128, "width of the table that tokens are looked up in"),
    SKV_ZOO_DROPOUT(0),
    SKV_ZOO_VOCABULARY,
    SKV_ZOO_PADDING,
};

skive_value *skv_zoo_classify_recurrent(skv_zoo_env *e, skive_value *x, const char *op, const char *name) {
    skive_value *valid;
    x = skv_zoo_sequence(e, x, skv_option_integer(e->values, "embed"), SKV_ZOO_UNIT, &valid);
    x = skv_zoo_recurrent(e, x, valid,
                          (skv_zoo_cells){.op = op,
                                          .name = name,
                                          .hidden = skv_zoo_scaled(e, 128),
                                          .layers = skv_option_integer(e->values, "layers"),
                                          .both = skv_option_on(e->values, "bidirectional")});
    return skv_zoo_linear(e, "fc", skv_zoo_dropout(e, x), e->options->classes);
}
