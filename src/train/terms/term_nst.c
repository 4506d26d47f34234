/* Neuron selectivity transfer (Huang & Wang 2017): the squared maximum mean discrepancy of the channels of two maps,
 * each channel a vector over the places divided by its length:
 * mean k(t, t') + mean k(s, s') - 2 mean k(s, t), mean over the batch. k(x, y) is (x.y)^2 ("poly", as published for
 * classification), x.y ("linear"), or exp(-|x - y|^2 / (2 v)) with v the mean of |s - t|^2 ("gaussian"). The weight is
 * 50, as published. The numbers of channels may differ. */
#include "train/terms/term.h"

static const char *const kernels[] = {"poly", "linear", "gaussian"};
static const char *kernel_at(size_t i) { return i < SKV_LENGTH(kernels) ? kernels[i] : NULL; }

static const skv_option options[] = {
    SKV_TERM_PAIR,
    {.name = "kernel", .type = SKV_OPTION_CHOICE, .text = "poly", .choices = kernel_at, .brief = "of the discrepancy"},
    SKV_TERM_WEIGHT(50),
};

/* Mean of the kernel over all pairs. `spread`: 1 / (2 v) of "gaussian". */
static skive_value *mean_kernel(skv_builder *b, skive_value *dots, char kernel, skive_value *spread) {
    if (kernel == 'l') return skv_term_mean(b, dots);
    if (kernel == 'p') return skv_term_mean(b, skv_term_square(b, dots));
    /* Of vectors of length 1, |x - y|^2 = 2 - 2 x.y. */
    skive_value *d = skv_term_times(b, skv_term_plus(b, dots, -1), 2);
    return skv_term_mean(b, skv_term_one(b, "Exp", skv_term_two(b, "Mul", d, spread)));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    const char kernel = a->options ? skv_option_text(a->options, "kernel")[0] : 'p';
    skive_value *s = NULL, *t = NULL, *spread = NULL;
    if (skv_term_maps(b, a, "nst", &s, &t) != SKIVE_OK) return NULL;
    s = skv_term_unit(b, skv_term_flat_maps(b, s), 2);
    t = skv_term_unit(b, skv_term_flat_maps(b, t), 2);
    skive_value *cross = skv_term_two(b, "MatMul", s, skv_term_transpose(b, t));
    if (kernel == 'g') {
        skive_value *v = skv_term_times(b, skv_term_plus(b, skv_term_mean(b, skv_term_detach(b, cross)), -1), -4);
        spread = skv_term_one(b, "Reciprocal", skv_term_two(b, "Max", v, skv_term_scalar(b, s, 1e-6)));
    }
    skive_value *own = mean_kernel(b, skv_term_two(b, "MatMul", s, skv_term_transpose(b, s)), kernel, spread);
    skive_value *theirs = mean_kernel(b, skv_term_two(b, "MatMul", t, skv_term_transpose(b, t)), kernel, spread);
    skive_value *both = skv_term_times(b, mean_kernel(b, cross, kernel, spread), -2);
    return skv_term_two(b, "Add", skv_term_two(b, "Add", own, theirs), both);
}

const skv_loss skv_loss_nst = {
    .name = "nst",
    .brief = "the channels of maps are distributed as the teacher's, by the maximum mean discrepancy",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 50,
    .pairs = SKV_PAIR_DEEPEST,
    .build = build,
};
