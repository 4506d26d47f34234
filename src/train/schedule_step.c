/* The rate falls by a factor every so many epochs. */
#include <math.h>

#include "train/train.h"

static double factor(const skive_train_options *o, double epoch) {
    return pow(o->step_factor, floor(epoch / o->step_every));
}

const skv_schedule skv_schedule_step = {
    .name = "step", .brief = "falls by a factor every so many epochs", .factor = factor};
