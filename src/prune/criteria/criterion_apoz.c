/* The part of an output channel's activations that are not zero: one minus the average percentage of zeros of Hu, Peng,
 * Tai & Tang 2016, who remove whole channels by it. Where single weights go, |w| times that part. */
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
        const double heard = isnan(zeros) ? 1 : 1 - zeros / m->count;
        a->score[i] = (float)(a->channels ? skv_score_share(a, heard) : fabs((double)a->weight[i]) * heard);
    }
    return SKIVE_OK;
}

const skv_criterion skv_criterion_apoz = {
    .name = "apoz",
    .brief = "part of the output channel's activations that are not zero, times the magnitude where single weights go",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
