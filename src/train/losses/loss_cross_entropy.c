/* Cross-entropy with softmax over the classes: -sum_k t_k log p_k, mean over the samples, or over all places where the
 * labels are of places [n][...] (-1: does not count). The target t is 1 at the label, or probabilities that are given.
 * Smoothed on request (Szegedy et al. 2016): 1 - s + s/K at the label and s/K elsewhere. With gamma it is the focal
 * loss (Lin et al. 2017), -sum_k t_k (1 - p_k)^gamma log p_k, in which what is sure already counts little. */
#include "train/loss.h"

static const skv_option options[] = {SKV_LOSS_SMOOTHING,
                                     {.name = "gamma",
                                      .type = SKV_OPTION_REAL,
                                      .most = 20,
                                      .brief = "focal loss: the power of 1 - p by which each term counts"}};
enum { GAMMA = 1 };

/* (1 - p)^gamma; 1 - p is kept off 0, where powers below 1 have no slope. */
static skive_value *doubt(skv_builder *b, skive_value *logp, double gamma) {
    const skive_dtype dtype = logp->type.dtype;
    skive_value *rest =
        skv_emit(b, "Sub", SKV_IN(skv_emit_scalar(b, dtype, 1), skv_emit(b, "Exp", SKV_IN(logp), SKV_NONE)), SKV_NONE);
    rest = skv_emit(b, "Max", SKV_IN(rest, skv_emit_scalar(b, dtype, 1e-7)), SKV_NONE);
    return skv_emit(b, "Pow", SKV_IN(rest, skv_emit_scalar(b, dtype, gamma)), SKV_NONE);
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    const double gamma = skv_loss_number(a, &options[GAMMA]);
    const int axis = skv_loss_class_axis(b, a);
    skive_value *target = skv_loss_target(b, a, a->label_smoothing, 0), *labels;
    if (b->status != SKIVE_OK) return NULL;
    const int64_t from_end = axis == a->logits->type.rank - 1 ? -1 : axis;
    skive_value *logp = skv_emit(b, "LogSoftmax", SKV_IN(a->logits), SKV_ATTRS(SKV_INT("axis", from_end)));
    skive_value *terms = skv_emit(b, "Mul", SKV_IN(target, logp), SKV_NONE);
    if (gamma > 0 && b->status == SKIVE_OK) terms = skv_emit(b, "Mul", SKV_IN(terms, doubt(b, logp, gamma)), SKV_NONE);
    skive_value *sum = skv_emit(b, "ReduceSum", SKV_IN(terms, skv_emit_ints(b, (const int64_t[]){from_end}, 1)),
                                SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *counted = skv_loss_counted(b, a, &labels);
    skv_loss_args of_places = *a;
    of_places.labels = labels;
    sum = skv_weight_samples(b, &of_places, sum);
    if (a->partly && counted) { /* the mean is over all samples: each has its share of the loss, with a label or not */
        sum = skv_emit(b, "Mul", SKV_IN(sum, counted), SKV_NONE);
        counted = NULL;
    }
    return skv_emit(b, "Neg", SKV_IN(skv_loss_mean(b, sum, counted)), SKV_NONE);
}

const skv_loss skv_loss_cross_entropy = {
    .name = "cross-entropy",
    .brief = "softmax cross-entropy with class labels, of samples or of places, or with probabilities",
    SKV_OPTIONS(options),
    .weighs = true,
    .partly = true,
    .build = build,
};
