/* Hints (FitNets: Romero et al. 2015): mean of (r(S) - T)^2 over all numbers of a value S of the student and T of the
 * teacher. r is a 1x1 convolution, or of rows a linear layer, where the channels differ (the paper's regressor), and
 * else nothing; maps of another size are resized on the teacher's side. The paper trains it alone first ("alone=0.3")
 * with half the sum of squares, on a middle layer; the weight is 1. Networks with BatchNormalization bear much more
 * beside the other terms, 100 in Tian, Krishnan & Isola (2020). */
#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_PAIR, SKV_TERM_WEIGHT(1)};

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *s = a->feature, *t = a->example;
    if (b->status != SKIVE_OK) return NULL;
    if (s->type.rank != t->type.rank || s->type.rank == 2) {
        s = skv_term_rows(b, s);
        t = skv_term_rows(b, t);
    } else if (skv_term_maps(b, a, "hint", &s, &t) != SKIVE_OK) {
        return NULL;
    }
    return skv_term_mean_square(b, skv_term_regress(b, a, s, t, "regressor", false), t);
}

const skv_loss skv_loss_hint = {
    .name = "hint",
    .brief = "a value of the student, behind a layer that is trained along, is like one of the teacher",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 1,
    .pairs = SKV_PAIR_MIDDLE,
    .build = build,
};
