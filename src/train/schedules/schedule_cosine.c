/* Half a cosine from the full rate to final_rate of it (Loshchilov & Hutter 2017), after the warm-up. */
#include <math.h>

#include "train/train.h"

static double factor(const skv_schedule_args *a) {
    const double pi = 3.14159265358979323846, final = a->options->final_rate;
    if (a->epoch <= a->options->warmup_epochs) return 1.0;
    return final + (1.0 - final) * 0.5 * (1.0 + cos(pi * skv_schedule_share(a)));
}

static const skv_option options[] = {
    {.name = "final",
     .needs = "!find-lr",
     .type = SKV_OPTION_REAL,
     .most = 10,
     .fallback = 0.01,
     .alias = "final-rate",
     SKV_FIELD(DOUBLE, skive_train_options, final_rate),
     .brief = "fraction of the learning rate at the end of the schedule 'cosine'"},
};

const skv_schedule skv_schedule_cosine = {
    .name = "cosine", .brief = "half a cosine down to the final rate", SKV_OPTIONS(options), .factor = factor};
