/* noise: white Gaussian noise at a random signal-to-noise ratio, 20 log10(rms of the signal / rms of the noise) dB. */
#include <math.h>

#include "data/series.h"

static bool noise(const skv_augment *a, const float *in, float *out) {
    const size_t n = (size_t)(a->dims[0] * a->dims[1] * a->dims[2]);
    const double least = skv_option_real(a->options, "ratio"), most = skv_option_real(a->options, "most");
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    const double ratio = skv_draw_between(a->draw, least, most > least ? most : least);
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)in[i] * (double)in[i];
    if (!(squares > 0)) return false; /* nothing that noise could be compared with */
    const double deviation = sqrt(squares / (double)n) * pow(10, -ratio / 20);
    for (size_t i = 0; i < n; i++) out[i] = in[i] + (float)(deviation * skv_draw_normal(a->draw));
    return true;
}

static const skv_option options[] = {
    {.name = "ratio",
     .type = SKV_OPTION_REAL,
     .least = -40,
     .most = 120,
     .fallback = 10,
     .unit = "dB",
     .brief = "least ratio of signal to noise"},
    {.name = "most",
     .type = SKV_OPTION_REAL,
     .least = -40,
     .most = 120,
     .fallback = 40,
     .unit = "dB",
     .brief = "largest ratio; the least where that is more"},
    {.name = "probability", .type = SKV_OPTION_REAL, .most = 1, .fallback = 0.5, .brief = "of changing a sample"},
};

const skv_transform skv_transform_noise = {
    .name = "noise",
    .syntax = "noise[:RATIO][,most=MOST][,probability=PROBABILITY]",
    .brief = "add white noise at a random signal-to-noise ratio",
    SKV_OPTIONS(options),
    .on = SKV_ON_WAVE,
    .apply = noise,
};
