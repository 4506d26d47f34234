/* Connection sensitivity (SNIP, Lee, Ajanthan & Torr 2019): the magnitude of the derivative of the loss with respect to
 * a factor at the weight, |w times the gradient of all samples together|. Meant for a network before training, where
 * the gradients have not yet come to nothing. The paper divides by the sum over all weights, which changes no order. */
#include <math.h>

#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(1),
    SKV_SCORE_BATCH(128),
};

static const skv_data_need needs[] = {{.at = SKV_AT_WEIGHT, .of = SKV_OF_PRODUCT, .reducer = "sum"}};

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) a->score[i] = (float)fabs(a->numbers[0].x[i] / a->numbers[0].count);
    return SKIVE_OK;
}

const skv_criterion skv_criterion_snip = {
    .name = "snip",
    .brief = "connection sensitivity, for networks before training",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
