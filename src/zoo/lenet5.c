/* LeNet-5 as Caffe trains it (431,080 parameters on 28x28), after LeCun et al. 1998. */
#include "zoo/zoo.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    x = skv_zoo_conv2d(e, "conv1", x,
                       (skv_zoo_conv){.out = skv_zoo_scaled(e, 20), .kernel = 5, .stride = 1, .bias = true});
    x = skv_zoo_maxpool(e, x, 2, 2, 0);
    x = skv_zoo_conv2d(e, "conv2", x,
                       (skv_zoo_conv){.out = skv_zoo_scaled(e, 50), .kernel = 5, .stride = 1, .bias = true});
    x = skv_zoo_maxpool(e, x, 2, 2, 0);
    x = skv_zoo_flatten(e, x);
    x = skv_zoo_relu(e, skv_zoo_linear(e, "fc1", x, skv_zoo_scaled(e, 500)));
    return skv_zoo_linear(e, "fc2", x, e->options->classes);
}

const skv_zoo skv_zoo_lenet5 = {
    .name = "lenet5",
    .brief = "LeNet-5 in its Caffe form: 20 and 50 5x5 filters, 500 hidden units",
    SKV_OPTIONS(skv_zoo_width_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(1, 28, 28, 10),
    .build = build,
};
