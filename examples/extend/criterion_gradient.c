/* gradient:batches=N. The root of the mean square of a weight's gradient: what the loss does not ask to change goes
 * first. */
#include <math.h>

#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(100),
    SKV_SCORE_BATCH(64),
};

static const skv_data_need needs[] = {{.at = SKV_AT_WEIGHT, .of = SKV_OF_GRADIENT, .reducer = "squares"}};

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) a->score[i] = (float)sqrt(a->numbers[0].x[i] / a->numbers[0].count);
    return SKIVE_OK;
}

const skv_criterion skv_criterion_gradient = {
    .name = "gradient",
    .brief = "size of the gradient over batches",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
