/* trivialaugment: one operation of the pool, at a random strength (Müller & Hutter: TrivialAugment, 2021, in its wide
 * space). It has nothing to tune. */
#include "data/augment/image_ops.h"

enum { STRENGTHS = 30 };

static bool trivialaugment(const skv_augment *a, const float *in, float *out) {
    const size_t op = (size_t)skv_draw_below(a->draw, (int64_t)skv_pool_count());
    const double strength = (double)skv_draw_below(a->draw, STRENGTHS + 1) / STRENGTHS;
    const bool negative = skv_draw_word(a->draw) & 1;
    return skv_pool_run(SKV_POOL_TRIVIALAUGMENT, op, strength, negative, a->dims, in, out);
}

const skv_transform skv_transform_trivialaugment = {
    .name = "trivialaugment",
    .syntax = "trivialaugment",
    .brief = "one random operation of a pool of 14, at a random strength",
    .on = SKV_ON_IMAGE,
    .unit = true,
    .moves = true,
    .apply = trivialaugment,
};
