/* The rate falls by the same factor in each epoch after the warm-up, a little with each batch. */
#include <math.h>

#include "train/train.h"

static double factor(const skv_schedule_args *a) {
    return pow(skv_option_real(a->values, "factor"), fmax(0, a->epoch - a->options->warmup_epochs));
}

static const skv_option options[] = {
    {.name = "factor",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .fallback = 0.95,
     .brief = "factor on the learning rate in each epoch"},
};

const skv_schedule skv_schedule_exponential = {
    .name = "exponential", .brief = "falls by the same factor in each epoch", SKV_OPTIONS(options), .factor = factor};
