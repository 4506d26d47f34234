/* The square of the norm of all weights of a channel, those of the layers behind included (DepGraph, Fang and others
 * 2023): what training with group-lasso makes small. */
#include "prune/prune.h"

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) a->score[i] = a->weight[i] * a->weight[i];
    return SKIVE_OK;
}

const skv_criterion skv_criterion_group_norm = {
    .name = "group-norm",
    .brief = "sum of the squares of all weights that go with the channel",
    .channels_only = true,
    .group = "sum",
    .score = score,
};
