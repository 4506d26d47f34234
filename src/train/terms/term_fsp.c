/* The flow of a solution (Yim et al. 2017): between two maps F, G of a network, M[c][d] = mean over the places of
 * F_c G_d; the term is the mean of (M_S - M_T)^2. Where the two maps of a network differ in size, the larger is
 * max-pooled, or resized where no
 * whole windows fit. Where the channels of student and teacher differ, each of the student's maps goes through a 1x1
 * convolution of the term's own; the paper has networks of equal channels. The weight is 1; Tian, Krishnan & Isola
 * (2020) take 50 in networks with BatchNormalization. */
#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_PAIR, SKV_TERM_WEIGHT(1)};

static int64_t place(const skive_value *x, int d) { return x->type.dims[d + 2].size; }

/* `x` in the places of `like`, which are fewer: max-pooled where whole windows fit, otherwise resized. */
static skive_value *pooled(skv_builder *b, skive_value *x, const skive_value *like) {
    int64_t window[SKIVE_MAX_RANK], sizes[SKIVE_MAX_RANK];
    bool same = true, whole = true;
    if (b->status != SKIVE_OK) return NULL;
    const int places = x->type.rank - 2;
    for (int d = 0; d < x->type.rank; d++) sizes[d] = d < 2 ? x->type.dims[d].size : place(like, d - 2);
    for (int d = 0; d < places; d++) {
        window[d] = place(x, d) / place(like, d);
        same = same && place(x, d) == place(like, d);
        whole = whole && window[d] > 0 && place(x, d) % place(like, d) == 0;
    }
    if (same) return x;
    if (!whole)
        return skv_emit(b, "Resize", SKV_IN(x, NULL, NULL, skv_emit_ints(b, sizes, (size_t)x->type.rank)),
                        SKV_ATTRS(SKV_STR("mode", "linear")));
    return skv_emit(
        b, "MaxPool", SKV_IN(x),
        SKV_ATTRS(SKV_INTS("kernel_shape", window, (size_t)places), SKV_INTS("strides", window, (size_t)places)));
}

static bool are_maps(const skive_value *x, const skive_value *y) {
    bool maps = x->type.rank == y->type.rank && x->type.rank >= 3;
    for (int d = 1; maps && d < x->type.rank; d++) maps = x->type.dims[d].size > 0 && y->type.dims[d].size > 0;
    return maps;
}

static skive_value *flow(skv_builder *b, skive_value *x, skive_value *y) {
    if (b->status != SKIVE_OK) return NULL;
    if (place(x, 0) >= place(y, 0))
        x = pooled(b, x, y);
    else
        y = pooled(b, y, x);
    x = skv_term_flat_maps(b, x);
    y = skv_term_flat_maps(b, y);
    if (b->status != SKIVE_OK) return NULL;
    const double places = (double)x->type.dims[2].size;
    return skv_term_times(b, skv_term_two(b, "MatMul", x, skv_term_transpose(b, y)), 1 / places);
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    if (!are_maps(a->feature, a->next_feature) || !are_maps(a->example, a->next_example)) {
        skv_term_refuse(b, a, "fsp", "the two values of each network must be maps [samples, channels, places ...]");
        return NULL;
    }
    skive_value *t = flow(b, a->example, a->next_example);
    skive_value *s = flow(b, skv_term_regress(b, a, a->feature, a->example, "first", false),
                          skv_term_regress(b, a, a->next_feature, a->next_example, "second", false));
    return skv_term_mean_square(b, s, t);
}

const skv_loss skv_loss_fsp = {
    .name = "fsp",
    .brief = "products of the channels of two maps, the flow from one to the other, are as the teacher's",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 1,
    .pairs = SKV_PAIR_STAGES,
    .two = true,
    .build = build,
};
