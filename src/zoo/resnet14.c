/* ResNet-14 for small images (He et al. 2016): stages of two blocks. */
#include "zoo/resnet.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) { return skv_zoo_resnet_small(e, x, 2); }

const skv_zoo skv_zoo_resnet14 = {
    .name = "resnet14",
    .brief = "ResNet-14 for small images (16, 32, 64 channels)",
    SKV_OPTIONS(skv_zoo_resnet_small_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 32, 32, 10),
    .build = build,
};
