/* Cross-entropy with softmax over the classes, labels smoothed on request (Szegedy et al. 2016):
 * the target is 1 - s + s/K at the label and s/K elsewhere. */
#include "train/train.h"

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    const int64_t classes = a->logits->type.rank == 2 ? a->logits->type.dims[1].size : -1;
    if (classes < 1) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, a->logits->name,
                                "cross-entropy needs scores [N, classes], '%s' is not", a->logits->name);
        return NULL;
    }
    const double off = a->label_smoothing / (double)classes, on = 1.0 - a->label_smoothing + off;
    const skive_dtype dtype = a->logits->type.dtype;
    const int64_t two = 2;
    skv_storage *pair = NULL;
    b->status = skv_storage_create(b->graph->ctx, dtype, 1, &two, &pair);
    if (b->status != SKIVE_OK) return NULL;
    skive_tensor_set(&pair->tensor, 0, off);
    skive_tensor_set(&pair->tensor, 1, on);
    skive_value *values = skv_emit_param(b, NULL, pair);
    skive_value *depth = skv_emit_scalar(b, SKIVE_I64, (double)classes);
    skive_value *target = skv_emit(b, "OneHot", SKV_IN(a->labels, depth, values), SKV_ATTRS(SKV_INT("axis", -1)));
    skive_value *logp = skv_emit(b, "LogSoftmax", SKV_IN(a->logits), SKV_ATTRS(SKV_INT("axis", -1)));
    skive_value *sum =
        skv_emit(b, "ReduceSum",
                 SKV_IN(skv_emit(b, "Mul", SKV_IN(target, logp), SKV_NONE), skv_emit_ints(b, (const int64_t[]){-1}, 1)),
                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *mean = skv_emit(b, "ReduceMean", SKV_IN(sum), SKV_ATTRS(SKV_INT("keepdims", 0)));
    return skv_emit(b, "Neg", SKV_IN(mean), SKV_NONE);
}

const skv_loss skv_loss_cross_entropy = {
    .name = "cross-entropy",
    .needs_classes = true,
    .brief = "softmax cross-entropy with class labels",
    .build = build,
};
