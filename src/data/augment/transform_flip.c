/* flip: mirrors left to right with a given probability. */
#include "data/transform.h"

static bool flip(const skv_augment *a, skv_warp *out) { return skv_warp_mirror(a, 2, out); }

static const skv_option options[] = {SKV_MIRROR_OPTION};

const skv_transform skv_transform_flip = {
    .name = "flip",
    .syntax = "flip[:PROBABILITY]",
    .brief = "mirror left to right with probability P, by default one half",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .warp = flip,
};
