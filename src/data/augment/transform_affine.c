/* affine: rotates, scales, shears and shifts at once about the centre, each by a random amount; bilinear, with zeros
 * outside. */
#include <math.h>

#include "data/transform.h"

static bool affine(const skv_augment *a, skv_warp *out) {
    const double turn = 3.14159265358979323846 / 180;
    const double degrees = skv_option_real(a->options, "degrees"), shear = skv_option_real(a->options, "shear");
    const double translate = skv_option_real(a->options, "translate"), scale = skv_option_real(a->options, "scale");
    const double angle = skv_draw_between(a->draw, -degrees, degrees) * turn;
    const double dx = skv_draw_between(a->draw, -translate, translate) * (double)a->dims[2];
    const double dy = skv_draw_between(a->draw, -translate, translate) * (double)a->dims[1];
    const double size = skv_draw_between(a->draw, 1 - scale, 1 + scale);
    const double shear_x = tan(skv_draw_between(a->draw, -shear, shear) * turn);
    const double shear_y = tan(skv_draw_between(a->draw, -shear, shear) * turn);
    skv_warp_affine(a->dims, angle, size, shear_x, shear_y, dx, dy, out);
    return true;
}

static const skv_option options[] = {
    {.name = "degrees", .type = SKV_OPTION_REAL, .most = 180, .fallback = 10, .brief = "largest angle of rotation"},
    {.name = "translate",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.1,
     .brief = "largest shift, as a part of height and width"},
    {.name = "scale",
     .type = SKV_OPTION_REAL,
     .most = 0.9,
     .fallback = 0.1,
     .brief = "the image becomes 1 - S to 1 + S times as large"},
    {.name = "shear", .type = SKV_OPTION_REAL, .most = 80, .brief = "largest angle of shearing along each axis"},
};

const skv_transform skv_transform_affine = {
    .name = "affine",
    .syntax = "affine[:DEGREES][,translate=TRANSLATE][,scale=SCALE][,shear=SHEAR]",
    .brief = "rotate, shift, scale and shear at once, filling with zeros",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .warp = affine,
};
