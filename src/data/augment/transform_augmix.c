/* augmix: the sample is mixed with several chains of operations on it (Hendrycks et al.: AugMix, 2020). The weights of
 * the chains come from a Dirichlet distribution, the weight of the mixture from a Beta distribution. */
#include <string.h>

#include "data/augment/image_ops.h"

enum { MOST_CHAINS = 8, STRENGTHS = 10, LONGEST = 3 };

/* in through some operations; the result is in, one[] or two[]. */
static const float *chain(const skv_augment *a, const float *in, float *one, float *two) {
    const int64_t severity = skv_option_integer(a->options, "severity"), length = 1 + skv_draw_below(a->draw, LONGEST);
    const float *from = in;
    for (int64_t i = 0; i < length; i++) {
        const size_t op = (size_t)skv_draw_below(a->draw, (int64_t)skv_pool_count());
        const double strength = (double)skv_draw_below(a->draw, severity + 1) / STRENGTHS;
        const bool negative = skv_draw_word(a->draw) & 1;
        float *to = from == one ? two : one;
        if (skv_pool_run(SKV_POOL_AUGMIX, op, strength, negative, a->dims, from, to)) from = to;
    }
    return from;
}

static bool augmix(const skv_augment *a, const float *in, float *out) {
    const size_t n = (size_t)(a->dims[0] * a->dims[1] * a->dims[2]);
    const int64_t chains = skv_option_integer(a->options, "chains");
    const double alpha = skv_option_real(a->options, "alpha");
    double weights[MOST_CHAINS], sum = 0;
    for (int64_t i = 0; i < chains; i++) sum += weights[i] = skv_draw_gamma(a->draw, alpha);
    const double mixed = skv_draw_beta(a->draw, alpha, alpha);
    for (size_t k = 0; k < n; k++) out[k] = (float)(1 - mixed) * in[k];
    for (int64_t i = 0; i < chains; i++) {
        const float weight = (float)(mixed * (sum > 0 ? weights[i] / sum : 1 / (double)chains));
        const float *x = chain(a, in, a->scratch, a->scratch + n);
        for (size_t k = 0; k < n; k++) out[k] += weight * x[k];
    }
    for (size_t k = 0; k < n; k++) out[k] = out[k] > 1 ? 1 : out[k]; /* rounding */
    return true;
}

static const skv_option options[] = {
    {.name = "severity",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = STRENGTHS,
     .fallback = 3,
     .brief = "largest strength of an operation, in tenths"},
    {.name = "chains", .type = SKV_OPTION_INTEGER, .least = 1, .most = MOST_CHAINS, .fallback = 3, .brief = "to mix"},
    {.name = "alpha",
     .type = SKV_OPTION_REAL,
     .least = 0.01,
     .most = 100,
     .fallback = 1,
     .brief = "of the distributions of the weights"},
};

const skv_transform skv_transform_augmix = {
    .name = "augmix",
    .syntax = "augmix[:SEVERITY][,chains=CHAINS][,alpha=ALPHA]",
    .brief = "mix the image with chains of operations on it",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .unit = true,
    .scratch = 2,
    .moves = true,
    .apply = augmix,
};
