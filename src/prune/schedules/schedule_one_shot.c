/* All at once. */
#include "prune/prune.h"

static double sparsity(double wanted, double progress) {
    (void)progress;
    return wanted;
}

const skv_prune_schedule skv_prune_schedule_one_shot = {
    .name = "one-shot",
    .brief = "all at once, then fine-tuning",
    .one_step = true,
    .sparsity = sparsity,
};
