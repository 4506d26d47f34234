/* See squeeze.h. */
#include "zoo/squeeze.h"

#include <stdio.h>
#include <string.h>

skive_value *skv_zoo_squeeze(skv_zoo_env *e, const char *name, skive_value *x, int64_t inner, skv_zoo_function between,
                             const char *gate) {
    char part[80];
    skive_value *y = skv_zoo_op(e, "GlobalAveragePool", SKV_ZOO_IN(x), SKV_ZOO_PLAIN);
    snprintf(part, sizeof part, "%s.reduce", name);
    y = between(e, skv_zoo_conv2d(e, part, y, (skv_zoo_conv){.out = inner, .kernel = 1, .bias = true}));
    snprintf(part, sizeof part, "%s.expand", name);
    y = skv_zoo_conv2d(e, part, y, (skv_zoo_conv){.out = skv_zoo_channels(x), .kernel = 1, .bias = true});
    /* the slope that PyTorch and TensorFlow use; ONNX's own default is another */
    y = strcmp(gate, "HardSigmoid") == 0
            ? skv_zoo_op(e, gate, SKV_ZOO_IN(y), SKV_ZOO_WITH(skive_attribute_float("alpha", 1.0 / 6)))
            : skv_zoo_op(e, gate, SKV_ZOO_IN(y), SKV_ZOO_PLAIN);
    return skv_zoo_op(e, "Mul", SKV_ZOO_IN(x, y), SKV_ZOO_PLAIN);
}
