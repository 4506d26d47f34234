/* blur: a Gaussian filter of random width. */
#include "data/augment/image_ops.h"

static bool blur(const skv_augment *a, const float *in, float *out) {
    const double least = skv_option_real(a->options, "least"), most = skv_option_real(a->options, "sigma");
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    skv_image_blur(a->dims, skv_draw_between(a->draw, least < most ? least : most, most), a->scratch, in, out);
    return true;
}

static const skv_option options[] = {
    {.name = "sigma",
     .type = SKV_OPTION_REAL,
     .least = 0.01,
     .most = 20,
     .fallback = 2,
     .brief = "largest deviation of the filter, in pixels"},
    {.name = "least",
     .type = SKV_OPTION_REAL,
     .least = 0.01,
     .most = 20,
     .fallback = 0.1,
     .brief = "least deviation; the largest where that is less"},
    {.name = "probability", .type = SKV_OPTION_REAL, .most = 1, .fallback = 0.5, .brief = "of changing a sample"},
};

const skv_transform skv_transform_blur = {
    .name = "blur",
    .syntax = "blur[:SIGMA][,least=LEAST][,probability=PROBABILITY]",
    .brief = "blur with a Gaussian filter of random width",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .scratch = 1,
    .apply = blur,
};
