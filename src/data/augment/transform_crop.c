/* crop: the image is padded with zeros and a window of its original size is cropped at a random position. */
#include "data/transform.h"

static bool crop(const skv_augment *a, skv_warp *out) {
    const int64_t pad = skv_option_integer(a->options, "pixels");
    const int64_t dy = skv_draw_below(a->draw, 2 * pad + 1) - pad, dx = skv_draw_below(a->draw, 2 * pad + 1) - pad;
    *out = skv_warp_identity();
    out->m[2] = (double)dx;
    out->m[5] = (double)dy;
    return dy != 0 || dx != 0;
}

static const skv_option options[] = {{.name = "pixels",
                                      .type = SKV_OPTION_INTEGER,
                                      .least = 0,
                                      .most = 1024,
                                      .required = true,
                                      .brief = "largest shift"}};

const skv_transform skv_transform_crop = {
    .name = "crop",
    .syntax = "crop:PIXELS",
    .brief = "shift by up to N pixels in each direction, filling with zeros",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .warp = crop,
};
