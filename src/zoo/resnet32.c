/* ResNet-32 for small images (He et al. 2016): stages of five blocks. */
#include "zoo/resnet.h"

static skive_value *build(skv_zoo_env *e, skive_value *x) { return skv_zoo_resnet_small(e, x, 5); }

const skv_zoo skv_zoo_resnet32 = {
    .name = "resnet32",
    .brief = "ResNet-32 for small images (16, 32, 64 channels)",
    SKV_OPTIONS(skv_zoo_resnet_small_options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 32, 32, 10),
    .build = build,
};
