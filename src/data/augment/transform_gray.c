/* gray: an image in colour becomes grey, in all three channels. */
#include "data/augment/image_ops.h"

static bool gray(const skv_augment *a, const float *in, float *out) {
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    skv_image_gray(a->dims, in, out);
    return true;
}

static const skv_option options[] = {
    {.name = "probability", .type = SKV_OPTION_REAL, .most = 1, .fallback = 0.1, .brief = "of changing a sample"},
};

const skv_transform skv_transform_gray = {
    .name = "gray",
    .syntax = "gray[:PROBABILITY]",
    .brief = "take the colours away, one time in ten",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .channels = 3,
    .unit = true,
    .apply = gray,
};
