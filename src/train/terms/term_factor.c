/* Factor transfer (Kim, Park & Kwak 2018): a paraphraser makes factors of the teacher's map, a translator of the
 * student's, each by a 3x3 convolution and a leaky Relu (0.1); the term is beta times the mean of
 * |F_T / |F_T| - F_S / |F_S||, lengths over all factors of a sample. The paraphraser learns to give the teacher's map
 * back through another convolution: the mean squared error of that is added, and nothing else reaches it. The paper
 * trains the paraphraser first and with three layers a side; here both are trained at once. As published, there are
 * half as many factors as channels, and beta is 200 as of Tian, Krishnan & Isola (2020). */
#include <math.h>

#include "train/terms/term.h"

static const skv_option options[] = {
    SKV_TERM_PAIR,
    {.name = "beta", .type = SKV_OPTION_REAL, .most = 1e6, .fallback = 200, .brief = "weight of the factors"},
    {.name = "rate",
     .type = SKV_OPTION_REAL,
     .most = 4,
     .above = true,
     .fallback = 0.5,
     .brief = "factors for each channel of the teacher"},
    SKV_TERM_WEIGHT(1),
};

static skive_value *convolved(skv_builder *b, const skv_loss_args *a, skive_value *x, int64_t out, const char *what) {
    if (b->status != SKIVE_OK) return NULL;
    const int64_t dims[4] = {out, x->type.dims[1].size, 3, 3}, pads[4] = {1, 1, 1, 1};
    skive_value *w = skv_term_parameter(b, a, what, 4, dims, sqrt(2 / (9.0 * (double)dims[1])));
    return skv_emit(b, "Conv", SKV_IN(x, w), SKV_ATTRS(SKV_INTS("pads", pads, 4)));
}

static skive_value *leaky(skv_builder *b, skive_value *x) {
    return skv_emit(b, "LeakyRelu", SKV_IN(x), SKV_ATTRS(SKV_FLT("alpha", 0.1)));
}

static skive_value *unit(skv_builder *b, skive_value *x) { return skv_term_unit(b, skv_term_rows(b, x), 1); }

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    const double beta = a->options ? skv_option_real(a->options, "beta") : 200,
                 rate = a->options ? skv_option_real(a->options, "rate") : 0.5;
    skive_value *s = NULL, *t = NULL;
    if (skv_term_maps(b, a, "factor", &s, &t) != SKIVE_OK) return NULL;
    if (s->type.rank != 4) {
        skv_term_refuse(b, a, "factor", "both must be maps [samples, channels, height, width]");
        return NULL;
    }
    const int64_t channels = t->type.dims[1].size, some = (int64_t)(rate * (double)channels),
                  factors = some > 0 ? some : 1;
    skive_value *of_teacher = leaky(b, convolved(b, a, t, factors, "paraphraser"));
    skive_value *back = convolved(b, a, of_teacher, channels, "back");
    skive_value *of_student = leaky(b, convolved(b, a, s, factors, "translator"));
    skive_value *apart =
        skv_term_one(b, "Abs", skv_term_two(b, "Sub", unit(b, of_student), skv_term_detach(b, unit(b, of_teacher))));
    return skv_term_two(b, "Add", skv_term_mean_square(b, back, t), skv_term_times(b, skv_term_mean(b, apart), beta));
}

const skv_loss skv_loss_factor = {
    .name = "factor",
    .brief = "factors of the student's map are like factors from which the teacher's can be made",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 1,
    .pairs = SKV_PAIR_DEEPEST,
    .build = build,
};
