/* The size of the gradient: the mean of |g| over batches. A weight of which the loss hardly depends goes first, however
 * large it is. */
#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(100),
    SKV_SCORE_BATCH(64),
    SKV_SCORE_NORMALISE("none"),
};

static const skv_data_need needs[] = {{.at = SKV_AT_WEIGHT, .of = SKV_OF_GRADIENT, .reducer = "magnitudes"}};

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) a->score[i] = (float)(a->numbers[0].x[i] / a->numbers[0].count);
    skv_score_normalise_as_asked(a);
    return SKIVE_OK;
}

const skv_criterion skv_criterion_gradient = {
    .name = "gradient",
    .brief = "size of the gradient, over batches",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
