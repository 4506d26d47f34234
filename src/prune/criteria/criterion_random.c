/* Random numbers: the control that every other criterion must beat. */
#include <string.h>

#include "prune/prune.h"

static const skv_option options[] = {
    {.name = "seed", .type = SKV_OPTION_INTEGER, .most = 1e9, .fallback = 1, .brief = "of the random numbers"},
};

static skive_status score(const skv_score_args *a) {
    const uint64_t seed = (uint64_t)skv_option_integer(a->options, "seed"),
                   layer = skv_hash64(a->parameter->name, strlen(a->parameter->name), 0);
    for (int64_t i = 0; i < a->n; i++) {
        /* All weights of an output channel alike, so that their mean is as random as one of them. */
        const uint64_t at = (uint64_t)(a->channels ? skv_score_output(a, i) : i);
        a->score[i] = (float)skv_rng_uniform(seed, layer, at);
    }
    return SKIVE_OK;
}

const skv_criterion skv_criterion_random = {
    .name = "random",
    .brief = "random numbers, the control",
    SKV_OPTIONS(options),
    .comparable = true,
    .score = score,
};
