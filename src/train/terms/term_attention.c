/* Attention transfer (Zagoruyko & Komodakis 2017, activation form): A(F) = mean over the channels of |F|^p, as a vector
 * over the places divided by its length; the term is the mean of (A(S) - A(T))^2 over all numbers. p is 2 and the
 * weight 1000, as published. */
#include "train/terms/term.h"

static const skv_option options[] = {
    SKV_TERM_PAIR,
    {.name = "power",
     .type = SKV_OPTION_REAL,
     .least = 1,
     .most = 8,
     .fallback = 2,
     .brief = "of the activations, before their mean over the channels"},
    SKV_TERM_WEIGHT(1000),
};

static skive_value *map_of(skv_builder *b, skive_value *x, double power) {
    skive_value *flat = skv_term_flat_maps(b, x);
    skive_value *raised = power == 2
                              ? skv_term_square(b, flat)
                              : skv_term_two(b, "Pow", skv_term_one(b, "Abs", flat), skv_term_scalar(b, x, power));
    return skv_term_unit(b, skv_term_reduce(b, "ReduceMean", raised, 1, false), 1);
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *s = NULL, *t = NULL;
    if (skv_term_maps(b, a, "attention", &s, &t) != SKIVE_OK) return NULL;
    const double power = a->options ? skv_option_real(a->options, "power") : 2;
    return skv_term_mean_square(b, map_of(b, s, power), map_of(b, t, power));
}

const skv_loss skv_loss_attention = {
    .name = "attention",
    .brief = "maps are active in the same places, whatever their channels",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 1000,
    .pairs = SKV_PAIR_STAGES,
    .build = build,
};
