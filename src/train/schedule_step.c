/* The rate reduced by a factor every few epochs. */
#include <math.h>

#include "train/train.h"

/* `epoch` is that of the batch's end: the batch that completes a step still belongs to it. */
static double factor(const skive_train_options *o, double epoch) {
    return pow(o->step_factor, fmax(0, ceil(epoch / o->step_every) - 1));
}

const skv_schedule skv_schedule_step = {
    .name = "step", .brief = "reduced by a factor every few epochs", .factor = factor};
