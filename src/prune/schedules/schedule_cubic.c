/* Cubic growth (Zhu & Gupta 2017): fast at first, when there is much to spare, slow at the end. */
#include "prune/prune.h"

static double sparsity(double wanted, double progress) {
    const double left = 1.0 - progress;
    return wanted * (1.0 - left * left * left);
}

const skv_prune_schedule skv_prune_schedule_cubic = {
    .name = "cubic",
    .brief = "in steps, with sparsity times 1 - (1 - t)^3, fine-tuning after each",
    SKV_OPTIONS(skv_prune_step_options),
    .sparsity = sparsity,
};
