/* Divergence of the model's probabilities from targets that are probabilities: sum_k t_k (log t_k - log p_k), mean over
 * the samples (Kullback & Leibler 1951). Its gradient is that of the cross-entropy; its value is 0 where they agree. */
#include "train/train.h"

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *target = skv_loss_target(b, a, 0, 0);
    if (b->status != SKIVE_OK) return NULL;
    skive_value *least = skv_emit_scalar(b, a->logits->type.dtype, 1e-30); /* of shares of 0, which add nothing */
    skive_value *log_t = skv_emit(b, "Log", SKV_IN(skv_emit(b, "Max", SKV_IN(target, least), SKV_NONE)), SKV_NONE);
    skive_value *log_p = skv_emit(b, "LogSoftmax", SKV_IN(a->logits), SKV_ATTRS(SKV_INT("axis", -1)));
    skive_value *terms =
        skv_emit(b, "Mul", SKV_IN(target, skv_emit(b, "Sub", SKV_IN(log_t, log_p), SKV_NONE)), SKV_NONE);
    skive_value *sum = skv_emit(b, "ReduceSum", SKV_IN(terms, skv_emit_ints(b, (const int64_t[]){-1}, 1)),
                                SKV_ATTRS(SKV_INT("keepdims", 0)));
    return skv_emit(b, "ReduceMean", SKV_IN(skv_weight_samples(b, a, sum)), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_divergence = {
    .name = "divergence",
    .brief = "Kullback-Leibler divergence from targets that are probabilities",
    .weighs = true,
    .build = build,
};
