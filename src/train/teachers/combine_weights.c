/* Teachers with fixed weights, which the caller gives. */
#include "train/combine.h"
#include "train/terms/term.h"

static void weigh(skv_builder *b, const skv_combine_args *a, skive_value **weights, skive_value **more) {
    (void)more;
    for (size_t i = 0; i < a->n; i++) weights[i] = skv_term_scalar(b, a->scores[i], a->given[i]);
}

const skv_combine skv_combine_weights = {
    .name = "weights", .brief = "their probabilities by the weights given", .takes_weights = true, .weigh = weigh};
