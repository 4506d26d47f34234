/* cutmix: a rectangle of each image is that of another image of the batch, and labels are mixed by the areas (Yun et
 * al.: CutMix, 2019). The area comes from a Beta(alpha, alpha) distribution, the centre lies anywhere in the image;
 * what the border cuts off does not count. */
#include <math.h>

#include "data/transform.h"

static bool cutmix(const skv_augment *a, skv_mix *out) {
    const double alpha = skv_option_real(a->options, "alpha"), h = (double)a->dims[1], w = (double)a->dims[2];
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    const double side = sqrt(1 - skv_draw_beta(a->draw, alpha, alpha));
    const int64_t height = (int64_t)(h * side), width = (int64_t)(w * side);
    int64_t top = skv_draw_below(a->draw, a->dims[1]) - height / 2,
            left = skv_draw_below(a->draw, a->dims[2]) - width / 2;
    const int64_t bottom = top + height < a->dims[1] ? top + height : a->dims[1];
    const int64_t right = left + width < a->dims[2] ? left + width : a->dims[2];
    if (top < 0) top = 0;
    if (left < 0) left = 0;
    *out = (skv_mix){.weight = 1 - (double)((bottom - top) * (right - left)) / (h * w),
                     .cut = true,
                     .top = top,
                     .left = left,
                     .bottom = bottom,
                     .right = right};
    return bottom > top && right > left;
}

static const skv_option options[] = {
    {.name = "alpha",
     .type = SKV_OPTION_REAL,
     .least = 0.01,
     .most = 100,
     .fallback = 1,
     .brief = "of the distribution of the areas; 1: all are equally likely"},
    {.name = "probability", .type = SKV_OPTION_REAL, .most = 1, .fallback = 1, .brief = "of mixing a batch"},
};

const skv_transform skv_transform_cutmix = {
    .name = "cutmix",
    .syntax = "cutmix[:ALPHA][,probability=PROBABILITY]",
    .brief = "replace a rectangle of each image by that of another, and mix their labels",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .mix = cutmix,
};
