/* The same rate throughout. */
#include "train/train.h"

static double factor(const skv_schedule_args *a) {
    (void)a;
    return 1.0;
}

const skv_schedule skv_schedule_constant = {
    .name = "constant", .brief = "the same rate in all epochs", .factor = factor};
