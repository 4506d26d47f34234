/* The entropy of what an output channel says, behind normalisation and activation (Luo & Wu 2017): a channel that says
 * the same of each sample goes first. Where single weights go, |w| times that entropy. */
#include <math.h>

#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(16),
    SKV_SCORE_BATCH(64),
};

static const skv_data_need needs[] = {{.at = SKV_AT_OUTPUT, .of = SKV_OF_VALUE, .reducer = "entropy"}};

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) {
        const double entropy = skv_score_channel(a, &a->numbers[0], false, i);
        const double told = isnan(entropy) ? 1 : entropy;
        a->score[i] = (float)(a->channels ? skv_score_share(a, told) : fabs((double)a->weight[i]) * told);
    }
    return SKIVE_OK;
}

const skv_criterion skv_criterion_entropy = {
    .name = "entropy",
    .brief = "entropy of the output channel's activations, times the magnitude where single weights go",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
