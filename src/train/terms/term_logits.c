/* Logits (Ba & Caruana 2014): the mean over samples and scores of (z_S - z_T)^2. The weight is 1. */
#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_WEIGHT(1)};

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    return skv_term_mean_square(b, a->logits, a->teacher);
}

const skv_loss skv_loss_logits = {
    .name = "logits",
    .brief = "squared difference of the scores before the softmax",
    SKV_OPTIONS(options),
    .needs_teacher = true,
    .weight = 1,
    .build = build,
};
