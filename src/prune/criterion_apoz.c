/* |w| times the part of its output channel's activations that are not zero. The average percentage of zeros is that of
 * Hu, Peng, Tai & Tang 2016, who remove whole channels by it; here a channel that is mostly silent gives its weights
 * first. */
#include <math.h>

#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(16),
    SKV_SCORE_BATCH(64),
};

static const skv_data_need needs[] = {{.at = SKV_AT_OUTPUT, .of = SKV_OF_VALUE, .reducer = "zeros"}};

static skive_status score(const skv_score_args *a) {
    const skv_numbers *m = &a->numbers[0];
    for (int64_t i = 0; i < a->n; i++) {
        const double zeros = skv_score_channel(a, m, false, i);
        a->score[i] = (float)(fabs((double)a->weight[i]) * (isnan(zeros) ? 1 : 1 - zeros / m->count));
    }
    return SKIVE_OK;
}

const skv_criterion skv_criterion_apoz = {
    .name = "apoz",
    .brief = "magnitude times the part of the output channel's activations that are not zero",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
