/* perspective: the image as seen from an angle. Each corner moves towards the centre by a random part of half the
 * height and half the width, as in torchvision's RandomPerspective; bilinear, with zeros outside. */
#include "data/transform.h"

static bool perspective(const skv_augment *a, skv_warp *out) {
    const double amount = skv_option_real(a->options, "amount");
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    const double right = (double)(a->dims[2] - 1), bottom = (double)(a->dims[1] - 1);
    double from[4][2] = {{0, 0}, {right, 0}, {right, bottom}, {0, bottom}};
    double to[4][2];
    for (int i = 0; i < 4; i++) {
        const double dx = skv_draw_between(a->draw, 0, amount) * (double)a->dims[2] / 2;
        const double dy = skv_draw_between(a->draw, 0, amount) * (double)a->dims[1] / 2;
        to[i][0] = from[i][0] > 0 ? right - dx : dx;
        to[i][1] = from[i][1] > 0 ? bottom - dy : dy;
    }
    return skv_warp_corners(to, from, out); /* corners on a line: an image of one row or column stays as it is */
}

static const skv_option options[] = {
    {.name = "amount",
     .type = SKV_OPTION_REAL,
     .most = 0.9,
     .fallback = 0.5,
     .brief = "how far corners move, as a part of the way to the centre"},
    {.name = "probability", .type = SKV_OPTION_REAL, .most = 1, .fallback = 0.5, .brief = "of changing a sample"},
};

const skv_transform skv_transform_perspective = {
    .name = "perspective",
    .syntax = "perspective[:AMOUNT][,probability=PROBABILITY]",
    .brief = "the image as seen from an angle: its corners move inwards",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .warp = perspective,
};
