/* Probabilistic knowledge transfer (Passalis & Tefas 2018): of the cosines c_ij of a batch's samples, p_j|i =
 * (c_ij + 1) / 2 divided by its sum over j; the term is the mean over all [n][n] of p_T (log p_T - log p_S). The weight
 * is 30000, as of Tian, Krishnan & Isola (2020). Widths may differ. */
#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_PAIR, SKV_TERM_WEIGHT(30000)};

static skive_value *probabilities(skv_builder *b, skive_value *x) {
    skive_value *rows = skv_term_rows(b, x);
    skive_value *p = skv_term_times(b, skv_term_plus(b, skv_term_cosines(b, rows, rows), 1), 0.5);
    return skv_term_two(b, "Div", p, skv_term_reduce(b, "ReduceSum", p, 1, true));
}

static skive_value *logarithm(skv_builder *b, skive_value *p) {
    return skv_term_one(b, "Log", skv_term_two(b, "Max", p, skv_term_scalar(b, p, 1e-7)));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skv_term_needs_samples(b, a, "pkt");
    if (b->status != SKIVE_OK) return NULL;
    skive_value *s = probabilities(b, a->feature), *t = probabilities(b, a->example);
    return skv_term_mean(b, skv_term_two(b, "Mul", t, skv_term_two(b, "Sub", logarithm(b, t), logarithm(b, s))));
}

const skv_loss skv_loss_pkt = {
    .name = "pkt",
    .brief = "the probability that samples of a batch are neighbours, by their cosines, is as the teacher's",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 30000,
    .pairs = SKV_PAIR_LAST,
    .build = build,
};
