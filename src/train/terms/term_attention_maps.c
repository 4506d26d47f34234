/* Attention maps (TinyBERT: Jiao et al. 2020): mean of (A_S - A_T)^2 over the scores of attention before the softmax,
 * [samples, heads, steps, steps]. Scores below -100, which are masked out, count as 0, as in the authors' code.
 * Where the numbers of heads differ, the means over the heads are compared; the paper has as many. The weight is 1. */
#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_PAIR, SKV_TERM_WEIGHT(1)};

static skive_value *unmasked(skv_builder *b, skive_value *x, bool mean) {
    skive_value *seen = skv_term_two(b, "Greater", x, skv_term_scalar(b, x, -100));
    x = skv_emit(b, "Where", SKV_IN(seen, x, skv_term_scalar(b, x, 0)), SKV_NONE);
    return mean ? skv_term_reduce(b, "ReduceMean", x, 1, false) : x;
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    const skive_type *s = &a->feature->type, *t = &a->example->type;
    bool fits = s->rank == 4 && t->rank == 4;
    for (int d = 0; fits && d < 4; d++) fits = d == 1 || s->dims[d].size == t->dims[d].size;
    if (!fits) {
        skv_term_refuse(b, a, "attention-maps", "both must be scores [samples, heads, steps, steps] of as many steps");
        return NULL;
    }
    const bool mean = s->dims[1].size != t->dims[1].size;
    if (mean)
        skv_note(b->graph->ctx, "attention-maps: %lld heads against %lld: their means are compared",
                 (long long)s->dims[1].size, (long long)t->dims[1].size);
    return skv_term_mean_square(b, unmasked(b, a->feature, mean), unmasked(b, a->example, mean));
}

const skv_loss skv_loss_attention_maps = {
    .name = "attention-maps",
    .brief = "scores of attention in Transformers are like the teacher's",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 1,
    .pairs = SKV_PAIR_ATTENTION,
    .build = build,
};
