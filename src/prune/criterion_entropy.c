/* |w| times the entropy of what its output channel says, behind normalisation and activation. The entropy is that of
 * Luo & Wu 2017, who remove whole channels by it; here a channel that says the same of each sample gives its weights
 * first. */
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
        a->score[i] = (float)(fabs((double)a->weight[i]) * (isnan(entropy) ? 1 : entropy));
    }
    return SKIVE_OK;
}

const skv_criterion skv_criterion_entropy = {
    .name = "entropy",
    .brief = "magnitude times the entropy of the output channel's activations",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
