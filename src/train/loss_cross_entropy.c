/* Cross-entropy with softmax over the classes, labels smoothed on request (Szegedy et al. 2016):
 * the target is 1 - s + s/K at the label and s/K elsewhere. */
#include "train/train.h"

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    skive_value *target = skv_loss_target(b, a, a->label_smoothing, 0);
    skive_value *logp = skv_emit(b, "LogSoftmax", SKV_IN(a->logits), SKV_ATTRS(SKV_INT("axis", -1)));
    skive_value *sum =
        skv_emit(b, "ReduceSum",
                 SKV_IN(skv_emit(b, "Mul", SKV_IN(target, logp), SKV_NONE), skv_emit_ints(b, (const int64_t[]){-1}, 1)),
                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *mean =
        skv_emit(b, "ReduceMean", SKV_IN(skv_weight_samples(b, a, sum)), SKV_ATTRS(SKV_INT("keepdims", 0)));
    return skv_emit(b, "Neg", SKV_IN(mean), SKV_NONE);
}

const skv_loss skv_loss_cross_entropy = {
    .name = "cross-entropy",
    .brief = "softmax cross-entropy with class labels or one-hot targets",
    SKV_OPTIONS(skv_loss_smoothing_options),
    .build = build,
};
