/* The rate reduced by a factor every few epochs. */
#include <math.h>

#include "train/train.h"

/* The epoch is that of the batch's end: the batch that completes a step still belongs to it. */
static double factor(const skv_schedule_args *a) {
    return pow(a->options->step_factor, fmax(0, ceil(a->epoch / a->options->step_every) - 1));
}

static const skv_option options[] = {
    {.name = "every",
     .needs = "!find-lr",
     .type = SKV_OPTION_REAL,
     .least = 1e-3,
     .most = 1e6,
     .fallback = 10,
     .alias = "step-every",
     SKV_FIELD(DOUBLE, skive_train_options, step_every),
     .brief = "epochs between the steps of the schedule 'step'"},
    {.name = "factor",
     .needs = "!find-lr",
     .type = SKV_OPTION_REAL,
     .most = 10,
     .fallback = 0.1,
     .alias = "step-factor",
     SKV_FIELD(DOUBLE, skive_train_options, step_factor),
     .brief = "factor on the learning rate at each step of the schedule 'step'"},
};

const skv_schedule skv_schedule_step = {
    .name = "step", .brief = "reduced by a factor every few epochs", SKV_OPTIONS(options), .factor = factor};
