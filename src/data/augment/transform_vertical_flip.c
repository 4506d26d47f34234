/* vertical-flip: mirrors top to bottom with a given probability. */
#include "data/transform.h"

static bool flip(const skv_augment *a, skv_warp *out) { return skv_warp_mirror(a, 1, out); }

static const skv_option options[] = {SKV_MIRROR_OPTION};

const skv_transform skv_transform_vertical_flip = {
    .name = "vertical-flip",
    .syntax = "vertical-flip[:PROBABILITY]",
    .brief = "mirror top to bottom with probability P, by default one half",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .warp = flip,
};
