/* Optimal brain damage (LeCun, Denker & Solla 1989) with the diagonal of the empirical Fisher matrix for that of the
 * Hessian: the loss grows by h w^2 / 2 when w becomes 0, h being the mean square of the gradient of one sample. The
 * score is w sqrt(h). With a batch above 1 the gradients of its samples are averaged before they are squared. */
#include <math.h>

#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(5000),
    SKV_SCORE_BATCH(1),
};

static const skv_data_need needs[] = {{.at = SKV_AT_WEIGHT, .of = SKV_OF_GRADIENT, .reducer = "squares"}};

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++)
        a->score[i] = (float)(fabs((double)a->weight[i]) * sqrt(a->numbers[0].x[i] / a->numbers[0].count));
    return SKIVE_OK;
}

const skv_criterion skv_criterion_fisher = {
    .name = "fisher",
    .brief = "second-order change of the loss, by the diagonal of the Fisher matrix",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
