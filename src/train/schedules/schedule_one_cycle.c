/* One cycle (Smith & Topin 2018): from a fraction of the rate up to it and down to almost nothing, both along half a
 * cosine. The momentum stays as it is. */
#include <math.h>

#include "train/train.h"

static double along(double from, double to, double share) {
    return to + (from - to) * 0.5 * (1.0 + cos(3.14159265358979323846 * share));
}

static double factor(const skv_schedule_args *a) {
    const double start = 1 / skv_option_real(a->values, "start"), end = start / skv_option_real(a->values, "end");
    const double up = skv_option_real(a->values, "up"), at = fmin(a->epoch / a->options->epochs, 1);
    return at < up ? along(start, 1, at / up) : along(1, end, (at - up) / (1 - up));
}

static const skv_option options[] = {
    {.name = "up",
     .instead_of = "warmup",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .below = true,
     .fallback = 0.3,
     .brief = "fraction of the run in which the rate grows"},
    {.name = "start",
     .type = SKV_OPTION_REAL,
     .least = 1,
     .most = 1e6,
     .fallback = 25,
     .brief = "the run begins with the learning rate divided by this"},
    {.name = "end",
     .type = SKV_OPTION_REAL,
     .least = 1,
     .most = 1e9,
     .fallback = 1e4,
     .brief = "and ends with that divided by this"},
};

const skv_schedule skv_schedule_one_cycle = {.name = "one-cycle",
                                             .brief = "up to the rate and down again, in place of the warm-up",
                                             SKV_OPTIONS(options),
                                             .factor = factor,
                                             .own_warmup = true};
