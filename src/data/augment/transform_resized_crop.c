/* resized-crop: a rectangle of random area, shape and place, resized to the size of the image (Szegedy et al.: Going
 * deeper with convolutions, 2015; the drawing is that of torchvision's RandomResizedCrop). Bilinear between pixel
 * centres; at the border of the rectangle its own pixels are repeated, not those beyond. */
#include <math.h>

#include "data/transform.h"

enum { TRIES = 10 };

static void take(int64_t top, int64_t left, int64_t h, int64_t w, const int64_t dims[3], skv_warp *out) {
    const double sy = (double)h / (double)dims[1], sx = (double)w / (double)dims[2];
    *out = skv_warp_identity();
    out->m[0] = sx;
    out->m[2] = (double)left + 0.5 * sx - 0.5;
    out->m[4] = sy;
    out->m[5] = (double)top + 0.5 * sy - 0.5;
    out->clamp = true;
    out->top = (double)top;
    out->left = (double)left;
    out->bottom = (double)(top + h - 1);
    out->right = (double)(left + w - 1);
}

static bool resized_crop(const skv_augment *a, skv_warp *out) {
    const int64_t *dims = a->dims;
    const double least = skv_option_real(a->options, "area"), most = skv_option_real(a->options, "most");
    const double ratio = skv_option_real(a->options, "ratio"), all = (double)dims[1] * (double)dims[2];
    for (int i = 0; i < TRIES; i++) {
        const double area = all * skv_draw_between(a->draw, least < most ? least : most, most);
        const double shape = exp(skv_draw_between(a->draw, -log(ratio), log(ratio)));
        const int64_t w = (int64_t)rint(sqrt(area * shape)), h = (int64_t)rint(sqrt(area / shape));
        if (w < 1 || h < 1 || w > dims[2] || h > dims[1]) continue;
        const int64_t top = skv_draw_below(a->draw, dims[1] - h + 1), left = skv_draw_below(a->draw, dims[2] - w + 1);
        take(top, left, h, w, dims, out);
        return h != dims[1] || w != dims[2];
    }
    /* None fits: the largest in the centre whose shape is allowed. */
    int64_t h = dims[1], w = dims[2];
    if ((double)w > (double)h * ratio) w = (int64_t)rint((double)h * ratio);
    if ((double)h > (double)w * ratio) h = (int64_t)rint((double)w * ratio);
    take((dims[1] - h) / 2, (dims[2] - w) / 2, h, w, dims, out);
    return h != dims[1] || w != dims[2];
}

static const skv_option options[] = {
    {.name = "area",
     .type = SKV_OPTION_REAL,
     .least = 0.001,
     .most = 1,
     .fallback = 0.08,
     .brief = "least part of the image's area"},
    {.name = "most",
     .type = SKV_OPTION_REAL,
     .least = 0.001,
     .most = 1,
     .fallback = 1,
     .brief = "largest part of the image's area"},
    {.name = "ratio",
     .type = SKV_OPTION_REAL,
     .least = 1,
     .most = 10,
     .fallback = 4.0 / 3,
     .brief = "width to height is between 1 / R and R"},
};

static skive_status check(skive_context *ctx, const skv_option_values *o, const int64_t dims[3]) {
    (void)dims;
    if (skv_option_real(o, "area") <= skv_option_real(o, "most")) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                       "transform 'resized-crop': the least area, %g, is above the largest, %g",
                       skv_option_real(o, "area"), skv_option_real(o, "most"));
}

const skv_transform skv_transform_resized_crop = {
    .name = "resized-crop",
    .syntax = "resized-crop[:AREA][,most=MOST][,ratio=RATIO]",
    .brief = "crop a random rectangle and resize it to the size of the image",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .check = check,
    .warp = resized_crop,
};
