/* Hidden states (TinyBERT: Jiao et al. 2020): mean of (S W - T)^2 over all numbers of the states [samples, steps,
 * width] of a layer each, or of recurrent layers [steps, directions, samples, width]. W is a linear layer of the term's
 * own where the widths differ. The weight is 1, as published. */
#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_PAIR, SKV_TERM_WEIGHT(1)};

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    const skive_type *s = &a->feature->type, *t = &a->example->type;
    bool fits = s->rank == t->rank && s->rank >= 2;
    for (int d = 0; fits && d < s->rank; d++)
        fits = s->dims[d].size > 0 && t->dims[d].size > 0 && (d == s->rank - 1 || s->dims[d].size == t->dims[d].size);
    if (!fits) {
        skv_term_refuse(b, a, "hidden", "the states may differ in their width only, which is the last axis");
        return NULL;
    }
    return skv_term_mean_square(b, skv_term_regress(b, a, a->feature, a->example, "regressor", true), a->example);
}

const skv_loss skv_loss_hidden = {
    .name = "hidden",
    .brief = "hidden states of Transformers and recurrent layers are like the teacher's",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 1,
    .pairs = SKV_PAIR_STEPS,
    .build = build,
};
