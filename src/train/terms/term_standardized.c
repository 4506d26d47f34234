/* Soft labels of standardised scores (Sun et al. 2024): the scores of each sample lose their mean and are divided by
 * their deviation (of all classes) and by T, so that student and teacher need no common scale; then
 * T^2 * KL(teacher || student), mean over the batch. T is 2 and the weight 9, as published. */
#include "train/terms/term.h"

static const skv_option options[] = {
    {.name = "temperature",
     .type = SKV_OPTION_REAL,
     .above = true,
     .most = 1000,
     .fallback = 2,
     .brief = "by which the standardised scores are divided"},
    SKV_TERM_WEIGHT(9),
};

static skive_value *standardised(skv_builder *b, skive_value *z, double t) {
    skive_value *x = skv_term_two(b, "Sub", z, skv_term_reduce(b, "ReduceMean", z, 1, true));
    skive_value *variance = skv_term_reduce(b, "ReduceMean", skv_term_square(b, x), 1, true);
    skive_value *deviation = skv_term_one(b, "Sqrt", skv_term_plus(b, variance, 1e-12));
    x = skv_term_times(b, skv_term_two(b, "Div", x, deviation), 1 / t);
    return skv_emit(b, "LogSoftmax", SKV_IN(x), SKV_ATTRS(SKV_INT("axis", 1)));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    const double t = a->options ? skv_option_real(a->options, "temperature") : 2;
    if (b->status != SKIVE_OK) return NULL;
    if (a->sigmoid || a->logits->type.rank != 2 || a->logits->type.dims[1].size < 3) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_DATA, "standardized",
                                "term 'standardized' needs scores of at least three classes that exclude one another");
        return NULL;
    }
    skive_value *q = standardised(b, a->logits, t), *p = standardised(b, a->teacher, t);
    skive_value *terms = skv_term_two(b, "Mul", skv_term_one(b, "Exp", p), skv_term_two(b, "Sub", p, q));
    return skv_term_times(b, skv_term_mean(b, skv_term_reduce(b, "ReduceSum", terms, 1, false)), t * t);
}

const skv_loss skv_loss_standardized = {
    .name = "standardized",
    .brief = "soft labels of scores that were standardised sample by sample",
    SKV_OPTIONS(options),
    .needs_teacher = true,
    .weight = 9,
    .build = build,
};
