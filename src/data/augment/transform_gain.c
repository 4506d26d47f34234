/* gain: a series becomes louder or softer by a random number of decibels. */
#include <math.h>

#include "data/series.h"

static bool gain(const skv_augment *a, const float *in, float *out) {
    const size_t n = (size_t)(a->dims[0] * a->dims[1] * a->dims[2]);
    const double most = skv_option_real(a->options, "decibels");
    const float factor = (float)pow(10, skv_draw_between(a->draw, -most, most) / 20);
    for (size_t i = 0; i < n; i++) out[i] = in[i] * factor;
    return true;
}

static const skv_option options[] = {
    {.name = "decibels", .type = SKV_OPTION_REAL, .most = 60, .fallback = 6, .unit = "dB", .brief = "largest change"},
};

const skv_transform skv_transform_gain = {
    .name = "gain",
    .syntax = "gain[:DECIBELS]",
    .brief = "make a series louder or softer",
    SKV_OPTIONS(options),
    .on = SKV_ON_WAVE,
    .apply = gain,
};
