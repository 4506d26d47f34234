/* Similarity-preserving (Tung & Mori 2019): G = Q Q^T of the batch's values Q [n][all else], each row divided by its
 * length; the term is |G_S - G_T|^2 (Frobenius) / n^2. Its weight is 3000, as published. Widths may differ. */
#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_PAIR, SKV_TERM_WEIGHT(3000)};

static skive_value *gram(skv_builder *b, skive_value *x) {
    skive_value *rows = skv_term_rows(b, x);
    return skv_term_unit(b, skv_term_two(b, "MatMul", rows, skv_term_transpose(b, rows)), 1);
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skv_term_needs_samples(b, a, "similarity");
    if (b->status != SKIVE_OK) return NULL;
    return skv_term_mean_square(b, gram(b, a->feature), gram(b, a->example));
}

const skv_loss skv_loss_similarity = {
    .name = "similarity",
    .brief = "samples of a batch that are alike for the teacher are alike for the student",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 3000,
    .pairs = SKV_PAIR_DEEPEST,
    .build = build,
};
