/* Decoupled distillation (Zhao et al. 2022), at the temperature T: alpha * TCKD + beta * NCKD, times T^2. TCKD is the
 * divergence of the pair (label's class, all others) from the teacher's, NCKD that of the distribution over the others.
 * alpha is 1 and beta 8, as published for CIFAR-100; the weight is 1. Meant in the place of soft labels: with alpha 0
 * of the run. */
#include "train/terms/term.h"

static const skv_option options[] = {
    {.name = "alpha", .type = SKV_OPTION_REAL, .most = 1e3, .fallback = 1, .brief = "weight of the label's class"},
    {.name = "beta", .type = SKV_OPTION_REAL, .most = 1e3, .fallback = 8, .brief = "weight of the other classes"},
    SKV_TERM_TEMPERATURE,
    SKV_TERM_WEIGHT(1),
};

typedef struct parts {
    skive_value *target, *others; /* [n][1] logarithms of the two probabilities */
    skive_value *among;           /* [n][classes] logarithms over the others; far below 0 at the label */
} parts;

/* Where `label` is 1 the score is left out: exp(-1e4) is 0. */
static parts split(skv_builder *b, skive_value *scores, skive_value *label) {
    skive_value *rest = skv_term_two(b, "Sub", scores, skv_term_times(b, label, 1e4));
    skive_value *all = skv_term_reduce(b, "ReduceLogSumExp", scores, 1, true),
                *sum = skv_term_reduce(b, "ReduceLogSumExp", rest, 1, true),
                *own = skv_term_reduce(b, "ReduceSum", skv_term_two(b, "Mul", scores, label), 1, true);
    return (parts){.target = skv_term_two(b, "Sub", own, all),
                   .others = skv_term_two(b, "Sub", sum, all),
                   .among = skv_term_two(b, "Sub", rest, sum)};
}

static skive_value *divergence(skv_builder *b, skive_value *log_p, skive_value *log_q) {
    return skv_term_two(b, "Mul", skv_term_one(b, "Exp", log_p), skv_term_two(b, "Sub", log_p, log_q));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    const double alpha = a->options ? skv_option_real(a->options, "alpha") : 1,
                 beta = a->options ? skv_option_real(a->options, "beta") : 8, t = skv_term_temperature(a);
    if (b->status != SKIVE_OK) return NULL;
    if (!skv_term_has_classes(a) || a->partly || a->sigmoid || a->logits->type.rank != 2) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_DATA, "dkd",
                                "term 'dkd' needs one class label a sample and a score for each class");
        return NULL;
    }
    skive_value *label = skv_loss_target(b, a, 0, 0);
    const parts q = split(b, skv_term_times(b, a->logits, 1 / t), label);
    const parts p = split(b, skv_term_times(b, a->teacher, 1 / t), label);
    skive_value *target = skv_term_two(b, "Add", divergence(b, p.target, q.target), divergence(b, p.others, q.others));
    skive_value *among = skv_term_reduce(b, "ReduceSum", divergence(b, p.among, q.among), 1, true);
    skive_value *sum = skv_term_two(b, "Add", skv_term_times(b, target, alpha), skv_term_times(b, among, beta));
    return skv_term_times(b, skv_term_mean(b, sum), t * t);
}

const skv_loss skv_loss_dkd = {
    .name = "dkd",
    .brief = "soft labels in two parts: the label's class, and the distribution over the others",
    SKV_OPTIONS(options),
    .needs_teacher = true,
    .weight = 1,
    .mixes = true,
    .build = build,
};
