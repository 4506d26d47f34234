/* erase: random erasing (Zhong et al.: Random erasing data augmentation, AAAI 2020). A rectangle of random area, shape
 * and place, which lies wholly in the image, is set to zero, or to random pixels. */
#include <math.h>
#include <string.h>

#include "data/transform.h"

enum { TRIES = 10 };

static const char *fill_at(size_t i) {
    static const char *const names[] = {"zero", "noise"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static bool erase(const skv_augment *a, const float *in, float *out) {
    const int64_t channels = a->dims[0], height = a->dims[1], width = a->dims[2];
    const double least = skv_option_real(a->options, "area"), most = skv_option_real(a->options, "most");
    const double ratio = skv_option_real(a->options, "ratio");
    const bool noise = strcmp(skv_option_text(a->options, "fill"), "noise") == 0;
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    for (int i = 0; i < TRIES; i++) {
        const double area = (double)(height * width) * skv_draw_between(a->draw, least < most ? least : most, most);
        const double shape = exp(skv_draw_between(a->draw, -log(ratio), log(ratio)));
        const int64_t w = (int64_t)rint(sqrt(area * shape)), h = (int64_t)rint(sqrt(area / shape));
        if (w < 1 || h < 1 || w > width || h > height) continue;
        const int64_t top = skv_draw_below(a->draw, height - h + 1), left = skv_draw_below(a->draw, width - w + 1);
        memcpy(out, in, (size_t)(channels * height * width) * sizeof *out);
        for (int64_t c = 0; c < channels; c++) {
            for (int64_t y = top; y < top + h; y++) {
                float *to = out + (c * height + y) * width;
                for (int64_t x = left; x < left + w; x++) to[x] = noise ? (float)skv_draw_uniform(a->draw) : 0.0f;
            }
        }
        return true;
    }
    return false;
}

static skive_status check(skive_context *ctx, const skv_option_values *o, const int64_t dims[3]) {
    (void)dims;
    if (skv_option_real(o, "area") <= skv_option_real(o, "most")) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                       "transform 'erase': the least area, %g, is above the largest, %g", skv_option_real(o, "area"),
                       skv_option_real(o, "most"));
}

static const skv_option options[] = {
    {.name = "probability", .type = SKV_OPTION_REAL, .most = 1, .fallback = 0.5, .brief = "of changing a sample"},
    {.name = "area",
     .type = SKV_OPTION_REAL,
     .least = 0.001,
     .most = 1,
     .fallback = 0.02,
     .brief = "least part of the image's area"},
    {.name = "most",
     .type = SKV_OPTION_REAL,
     .least = 0.001,
     .most = 1,
     .fallback = 0.33,
     .brief = "largest part of the image's area"},
    {.name = "ratio",
     .type = SKV_OPTION_REAL,
     .least = 1,
     .most = 10,
     .fallback = 10.0 / 3,
     .brief = "width to height is between 1 / R and R"},
    {.name = "fill",
     .type = SKV_OPTION_CHOICE,
     .text = "zero",
     .choices = fill_at,
     .brief = "zeros, or random pixels between 0 and 1"},
};

const skv_transform skv_transform_erase = {
    .name = "erase",
    .syntax = "erase[:PROBABILITY][,area=AREA][,most=MOST][,ratio=RATIO][,fill=FILL]",
    .brief = "blank a rectangle of random area, shape and place",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .check = check,
    .apply = erase,
};
