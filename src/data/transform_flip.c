/* flip: mirrors left to right with a given probability. */
#include "data/transform.h"

static bool flip(const skv_augment *a, skv_warp *out) {
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    *out = skv_warp_identity();
    out->m[0] = -1;
    out->m[2] = (double)(a->dims[2] - 1);
    return true;
}

static const skv_option options[] = {{.name = "probability",
                                      .type = SKV_OPTION_REAL,
                                      .least = 0,
                                      .most = 1,
                                      .fallback = 0.5,
                                      .brief = "of mirroring a sample"}};

const skv_transform skv_transform_flip = {
    .name = "flip",
    .syntax = "flip[:PROBABILITY]",
    .brief = "mirror left to right with probability P, by default one half",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .warp = flip,
};
