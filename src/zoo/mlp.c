/* Fully connected layers with ReLU between; without an argument LeNet-300-100 (LeCun et al. 1998). */
#include <stdio.h>
#include <stdlib.h>

#include "zoo/zoo.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    const char *list = skv_option_text(e->values, "widths"), *at = list;
    char name[16];
    int layer = 1;
    if (e->options->rank > 1) x = skv_zoo_flatten(e, x);
    while (*at) {
        char *end;
        const long width = strtol(at, &end, 10);
        if (end == at || width < 1 || width > 1000000 || (*end && *end != ',')) {
            e->b.status =
                SKV_FAIL(e->ctx, SKIVE_ERR_ARGUMENT, "'%s' is not a list of layer widths (mlp:300,100)", list);
            return NULL;
        }
        snprintf(name, sizeof name, "fc%d", layer++);
        x = skv_zoo_relu(e, skv_zoo_linear(e, name, x, width));
        at = *end ? end + 1 : end;
    }
    snprintf(name, sizeof name, "fc%d", layer);
    return skv_zoo_linear(e, name, x, e->options->classes);
}

static const skv_option options[] = {
    {.name = "widths", .type = SKV_OPTION_LIST, .text = "300,100", .brief = "widths of the layers before the last"}};

const skv_zoo skv_zoo_mlp = {
    .name = "mlp",
    .brief = "fully connected, ReLU between; without widths 300,100 (LeNet-300-100)",
    SKV_OPTIONS(options),
    .usual = {.rank = 1, .dims = {784}, .classes = 10},
    .build = build,
};
