/* speed: a series played faster or slower, which changes the pitch of a sound too (Ko et al.: Audio augmentation for
 * speech recognition, 2015). Resampled with a windowed sinc; played faster, it is low-passed before. What is too long
 * is cut, what is too short is followed by zeros. */
#include <math.h>

#include "data/series.h"

enum { ZEROS = 8 }; /* zero crossings of the sinc on each side */

static double kernel(double x) {
    const double pi = 3.14159265358979323846;
    if (fabs(x) >= ZEROS) return 0;
    if (fabs(x) < 1e-9) return 1;
    return sin(pi * x) / (pi * x) * (0.5 + 0.5 * cos(pi * x / ZEROS));
}

/* Value at time `at` of a row; cutoff 1, or less when the series is shrunk. */
static float value_at(const float *row, const skv_series *s, double at, double cutoff) {
    const double reach = ZEROS / cutoff;
    int64_t first = (int64_t)ceil(at - reach), last = (int64_t)floor(at + reach);
    double sum = 0;
    if (first < 0) first = 0;
    if (last > s->time - 1) last = s->time - 1;
    for (int64_t t = first; t <= last; t++)
        sum += (double)row[t * s->together] * kernel((at - (double)t) * cutoff) * cutoff;
    return (float)sum;
}

static bool speed(const skv_augment *a, const float *in, float *out) {
    const skv_series s = skv_series_of(a);
    const double most = skv_option_real(a->options, "change"), factor = 1 + skv_draw_between(a->draw, -most, most);
    if (factor == 1) return false;
    for (int64_t t = 0; t < s.time; t++) {
        const double at = (double)t * factor;
        for (int64_t r = 0; r < s.rows; r++) {
            for (int64_t k = 0; k < s.together; k++)
                out[(r * s.time + t) * s.together + k] =
                    at > (double)(s.time - 1)
                        ? 0.0f
                        : value_at(in + r * s.time * s.together + k, &s, at, factor > 1 ? 1 / factor : 1);
        }
    }
    return true;
}

static const skv_option options[] = {
    {.name = "change",
     .type = SKV_OPTION_REAL,
     .most = 0.9,
     .fallback = 0.1,
     .brief = "factor of 1 - C to 1 + C on the speed"},
};

const skv_transform skv_transform_speed = {
    .name = "speed",
    .syntax = "speed[:CHANGE]",
    .brief = "play a series faster or slower, its pitch too",
    SKV_OPTIONS(options),
    .on = SKV_ON_WAVE,
    .apply = speed,
};
