/* rotate: rotates about the centre by a random angle, bilinear, with zeros at the corners. */
#include "data/transform.h"

static bool rotate(const skv_augment *a, skv_warp *out) {
    const double degrees = skv_option_real(a->options, "degrees") * (2 * skv_draw_uniform(a->draw) - 1);
    skv_warp_affine(a->dims, degrees * (3.14159265358979323846 / 180), 1, 0, 0, 0, 0, out);
    return degrees != 0;
}

static const skv_option options[] = {
    {.name = "degrees", .type = SKV_OPTION_REAL, .least = 0, .most = 180, .required = true, .brief = "largest angle"}};

const skv_transform skv_transform_rotate = {
    .name = "rotate",
    .syntax = "rotate:DEGREES",
    .brief = "rotate by up to N degrees in either direction",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .warp = rotate,
};
