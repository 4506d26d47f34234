/* Iterative (Han et al. 2015; Frankle & Carbin 2019): each step takes the same fraction of what is left. */
#include <math.h>

#include "prune/prune.h"

static double sparsity(double wanted, double progress) {
    return progress < 1 ? 1.0 - pow(1.0 - wanted, progress) : wanted;
}

const skv_prune_schedule skv_prune_schedule_iterative = {
    .name = "iterative",
    .brief = "in steps that each remove the same fraction of the remaining weights, fine-tuning after each",
    SKV_OPTIONS(skv_prune_step_options),
    .sparsity = sparsity,
};
