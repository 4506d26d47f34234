/* specaugment: stripes of a plane of features are set to its mean: some features at all times, and all features at some
 * times (Park et al.: SpecAugment, 2019, without the warping of time). The width of a stripe is drawn evenly between 0
 * and the largest, then its place. */
#include <string.h>

#include "data/series.h"

static bool specaugment(const skv_augment *a, const float *in, float *out) {
    const skv_series s = skv_series_of(a);
    const int64_t features = skv_option_integer(a->options, "features"), time = skv_option_integer(a->options, "time");
    const int64_t stripes = skv_option_integer(a->options, "stripes"), n = s.rows * s.time * s.together;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)in[i];
    const float mean = (float)(sum / (double)n);
    memcpy(out, in, (size_t)n * sizeof *out);
    for (int64_t k = 0; k < stripes; k++) {
        const int64_t wide = skv_draw_below(a->draw, (features < s.together ? features : s.together) + 1);
        const int64_t low = skv_draw_below(a->draw, s.together - wide + 1);
        const int64_t length = skv_draw_below(a->draw, (time < s.time ? time : s.time) + 1);
        const int64_t from = skv_draw_below(a->draw, s.time - length + 1);
        for (int64_t i = 0; i < n; i++) {
            const int64_t f = i % s.together, t = i / s.together % s.time;
            if ((f >= low && f < low + wide) || (t >= from && t < from + length)) out[i] = mean;
        }
    }
    return true;
}

static const skv_option options[] = {
    {.name = "features",
     .type = SKV_OPTION_INTEGER,
     .most = 4096,
     .fallback = 8,
     .brief = "largest width of a stripe of features"},
    {.name = "time",
     .type = SKV_OPTION_INTEGER,
     .most = 65536,
     .fallback = 20,
     .brief = "largest width of a stripe of times, in frames"},
    {.name = "stripes", .type = SKV_OPTION_INTEGER, .least = 1, .most = 16, .fallback = 1, .brief = "of each kind"},
};

const skv_transform skv_transform_specaugment = {
    .name = "specaugment",
    .syntax = "specaugment[:FEATURES][,time=TIME][,stripes=STRIPES]",
    .brief = "blank stripes of features and of times",
    SKV_OPTIONS(options),
    .on = SKV_ON_FEATURES,
    .apply = specaugment,
};
