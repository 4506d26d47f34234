/* The same rate throughout. */
#include "train/train.h"

static double factor(const skive_train_options *o, double epoch) {
    (void)o;
    (void)epoch;
    return 1.0;
}

const skv_schedule skv_schedule_constant = {
    .name = "constant", .brief = "the same rate in all epochs", .factor = factor};
