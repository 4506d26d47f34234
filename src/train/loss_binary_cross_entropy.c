/* Binary cross-entropy of scores that are taken one by one, mean over samples and scores. With the score z and the
 * target t it is
 * -t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z)) = softplus(z) - t z, which overflows nowhere. */
#include "train/train.h"

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    skive_value *target = skv_loss_target(b, a, a->label_smoothing, 2);
    skive_value *product = skv_emit(b, "Mul", SKV_IN(target, a->logits), SKV_NONE);
    skive_value *terms =
        skv_emit(b, "Sub", SKV_IN(skv_emit(b, "Softplus", SKV_IN(a->logits), SKV_NONE), product), SKV_NONE);
    return skv_emit(b, "ReduceMean", SKV_IN(skv_weight_samples(b, a, terms)), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_binary_cross_entropy = {
    .name = "binary-cross-entropy",
    .brief = "sigmoid cross-entropy of each score",
    SKV_OPTIONS(skv_loss_smoothing_options),
    .build = build,
};
