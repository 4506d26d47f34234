/* randaugment: some operations of the pool, drawn evenly, all at one strength (Cubuk, Zoph, Shlens & Le: RandAugment,
 * 2020). */
#include <string.h>

#include "data/augment/image_ops.h"

enum { STRENGTHS = 30 };

static bool randaugment(const skv_augment *a, const float *in, float *out) {
    const int64_t n = skv_option_integer(a->options, "operations");
    const double strength = (double)skv_option_integer(a->options, "strength") / STRENGTHS;
    const float *from = in;
    for (int64_t i = 0; i < n; i++) {
        const size_t op = (size_t)skv_draw_below(a->draw, (int64_t)skv_pool_count());
        const bool negative = skv_draw_word(a->draw) & 1;
        float *to = from == out ? a->scratch : out;
        if (skv_pool_run(SKV_POOL_RANDAUGMENT, op, strength, negative, a->dims, from, to)) from = to;
    }
    if (from == a->scratch) memcpy(out, from, (size_t)(a->dims[0] * a->dims[1] * a->dims[2]) * sizeof *out);
    return from != in;
}

static const skv_option options[] = {
    {.name = "operations",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 14,
     .fallback = 2,
     .brief = "operations on each sample"},
    {.name = "strength", .type = SKV_OPTION_INTEGER, .most = STRENGTHS, .fallback = 9, .brief = "of all of them"},
};

const skv_transform skv_transform_randaugment = {
    .name = "randaugment",
    .syntax = "randaugment[:OPERATIONS][,strength=STRENGTH]",
    .brief = "random operations of a pool of 14, at a given strength",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .unit = true,
    .scratch = 1,
    .moves = true,
    .apply = randaugment,
};
