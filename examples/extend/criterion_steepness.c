/* |w| times the root of the mean square of its gradient, over batches: how much the loss changes when a weight changes
 * by a fraction of its size. It is the Fisher information's view of a weight, without its second power (Theis et al.
 * 2018). */
#include <math.h>

#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(16),
    SKV_SCORE_BATCH(64),
};

static const skv_data_need needs[] = {{.at = SKV_AT_WEIGHT, .of = SKV_OF_GRADIENT, .reducer = "squares"}};

static skive_status score(const skv_score_args *a) {
    const skv_numbers *squares = &a->numbers[0];
    for (int64_t i = 0; i < a->n; i++) a->score[i] = fabsf(a->weight[i]) * (float)sqrt(squares->x[i] / squares->count);
    return SKIVE_OK;
}

const skv_criterion skv_criterion_steepness = {
    .name = "steepness",
    .brief = "weight times the size of its gradient, over batches",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
