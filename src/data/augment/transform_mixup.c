/* mixup: samples of a batch are mixed in pairs, x = w x1 + (1 - w) x2, and so are their labels (Zhang, Cisse, Dauphin &
 * Lopez-Paz: mixup, 2018). The weight w of a batch comes from a Beta(alpha, alpha) distribution. */
#include "data/transform.h"

static bool mixup(const skv_augment *a, skv_mix *out) {
    const double alpha = skv_option_real(a->options, "alpha");
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    *out = (skv_mix){.weight = skv_draw_beta(a->draw, alpha, alpha)};
    return true;
}

static const skv_option options[] = {
    {.name = "alpha",
     .type = SKV_OPTION_REAL,
     .least = 0.01,
     .most = 100,
     .fallback = 0.2,
     .brief = "of the distribution of the weights; the smaller, the less is mixed"},
    {.name = "probability", .type = SKV_OPTION_REAL, .most = 1, .fallback = 1, .brief = "of mixing a batch"},
};

const skv_transform skv_transform_mixup = {
    .name = "mixup",
    .syntax = "mixup[:ALPHA][,probability=PROBABILITY]",
    .brief = "mix the samples of a batch in pairs, and their labels or targets",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE | SKV_ON_WAVE | SKV_ON_FEATURES | SKV_ON_TABLE,
    .mix = mixup,
};
