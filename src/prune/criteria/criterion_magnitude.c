/* Magnitude: |w| (Han et al. 2015). */
#include <math.h>

#include "prune/prune.h"

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) a->score[i] = fabsf(a->weight[i]);
    return SKIVE_OK;
}

const skv_criterion skv_criterion_magnitude = {
    .name = "magnitude",
    .brief = "absolute value of the weight",
    .in_weights = true,
    .score = score,
};
