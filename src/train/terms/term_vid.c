/* Variational information distillation (Ahn et al. 2019): the teacher's value is normal around m(S) with a variance of
 * its own for each channel, v_c = log(1 + exp(a_c)) + 1e-5; the term is the mean of
 * ((T - m(S))^2 / v_c + log v_c) / 2. m is three 1x1 convolutions (of rows linear layers) with Relu between, and a
 * starts where v is 5, as in the authors' code. The weight is 1. */
#include <math.h>

#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_PAIR, SKV_TERM_WEIGHT(1)};

static skive_value *mean_of(skv_builder *b, const skv_loss_args *a, skive_value *s, const skive_value *t) {
    static const char *const names[] = {"first", "second", "third"};
    for (size_t i = 0; i < SKV_LENGTH(names) && b->status == SKIVE_OK; i++) {
        const bool product = s->type.rank == 2;
        const int64_t in = s->type.dims[1].size, out = t->type.dims[1].size;
        int64_t dims[SKIVE_MAX_RANK] = {product ? in : out, product ? out : in};
        for (int d = 2; d < s->type.rank; d++) dims[d] = 1;
        skive_value *w =
            skv_term_parameter(b, a, names[i], product ? 2 : s->type.rank, dims, sqrt((i < 2 ? 2 : 1) / (double)in));
        s = skv_term_two(b, product ? "MatMul" : "Conv", s, w);
        if (i < 2) s = skv_term_one(b, "Relu", s);
    }
    return s;
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *s = a->feature, *t = a->example;
    if (b->status != SKIVE_OK) return NULL;
    if (s->type.rank != t->type.rank || s->type.rank == 2) {
        s = skv_term_rows(b, s);
        t = skv_term_rows(b, t);
    } else if (skv_term_maps(b, a, "vid", &s, &t) != SKIVE_OK) {
        return NULL;
    }
    if (b->status != SKIVE_OK) return NULL;
    int64_t dims[SKIVE_MAX_RANK];
    for (int d = 0; d < t->type.rank; d++) dims[d] = d == 1 ? t->type.dims[1].size : 1;
    skive_value *m = mean_of(b, a, s, t);
    skive_value *raw =
        skv_term_filled(b, a, "variance", t->type.dtype, t->type.rank, dims, log(exp(5 - 1e-5) - 1), true);
    skive_value *v = skv_term_plus(b, skv_term_one(b, "Softplus", raw), 1e-5);
    skive_value *error = skv_term_two(b, "Div", skv_term_square(b, skv_term_two(b, "Sub", t, m)), v);
    return skv_term_times(b, skv_term_mean(b, skv_term_two(b, "Add", error, skv_term_one(b, "Log", v))), 0.5);
}

const skv_loss skv_loss_vid = {
    .name = "vid",
    .brief = "the teacher's value is likely by a normal distribution that the student's value predicts",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 1,
    .pairs = SKV_PAIR_STAGES,
    .build = build,
};
