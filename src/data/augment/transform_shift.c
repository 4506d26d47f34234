/* shift: a series moves in time by a random part of its length; what comes in is zero, or what went out at the other
 * end. */
#include <math.h>
#include <string.h>

#include "data/series.h"

static const char *fill_at(size_t i) {
    static const char *const names[] = {"zero", "wrap"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static bool shift(const skv_augment *a, const float *in, float *out) {
    const skv_series s = skv_series_of(a);
    const double most = skv_option_real(a->options, "part");
    const bool round = strcmp(skv_option_text(a->options, "fill"), "wrap") == 0;
    const int64_t by = (int64_t)rint(skv_draw_between(a->draw, -most, most) * (double)s.time);
    if (by == 0) return false;
    for (int64_t r = 0; r < s.rows; r++) {
        for (int64_t t = 0; t < s.time; t++) {
            const int64_t from = t - by;
            float *to = out + (r * s.time + t) * s.together;
            if (from >= 0 && from < s.time)
                memcpy(to, in + (r * s.time + from) * s.together, (size_t)s.together * sizeof *to);
            else if (round)
                memcpy(to, in + (r * s.time + (from + s.time) % s.time) * s.together, (size_t)s.together * sizeof *to);
            else
                memset(to, 0, (size_t)s.together * sizeof *to);
        }
    }
    return true;
}

static const skv_option options[] = {
    {.name = "part",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.1,
     .brief = "largest shift, as a part of the length"},
    {.name = "fill",
     .type = SKV_OPTION_CHOICE,
     .text = "zero",
     .choices = fill_at,
     .brief = "zeros, or what goes out at the other end"},
};

const skv_transform skv_transform_shift = {
    .name = "shift",
    .syntax = "shift[:PART][,fill=FILL]",
    .brief = "move a series in time, filling with zeros",
    SKV_OPTIONS(options),
    .on = SKV_ON_WAVE | SKV_ON_FEATURES,
    .apply = shift,
};
