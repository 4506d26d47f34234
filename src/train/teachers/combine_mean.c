/* The mean of the teachers' probabilities (Hinton, Vinyals & Dean 2015). */
#include "train/combine.h"
#include "train/terms/term.h"

static void weigh(skv_builder *b, const skv_combine_args *a, skive_value **weights, skive_value **more) {
    (void)more;
    for (size_t i = 0; i < a->n; i++) weights[i] = skv_term_scalar(b, a->scores[i], 1 / (double)a->n);
}

const skv_combine skv_combine_mean = {.name = "mean", .brief = "the mean of their probabilities", .weigh = weigh};
