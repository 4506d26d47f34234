/* Mean squared error against float targets, or against one-hot classes when the labels are classes. */
#include "train/train.h"

static skive_value *target_of(skv_builder *b, const skv_loss_args *a) {
    const skive_dtype dtype = a->logits->type.dtype;
    if (a->labels->type.dtype != SKIVE_I64) return a->labels;
    const int64_t two = 2;
    skv_storage *pair = NULL;
    b->status = skv_storage_create(b->graph->ctx, dtype, 1, &two, &pair);
    if (b->status != SKIVE_OK) return NULL;
    skive_tensor_set(&pair->tensor, 1, 1.0);
    skive_value *values = skv_emit_param(b, NULL, pair);
    const int64_t classes = a->logits->type.dims[a->logits->type.rank - 1].size;
    return skv_emit(b, "OneHot", SKV_IN(a->labels, skv_emit_scalar(b, SKIVE_I64, (double)classes), values),
                    SKV_ATTRS(SKV_INT("axis", -1)));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    skive_value *d = skv_emit(b, "Sub", SKV_IN(a->logits, target_of(b, a)), SKV_NONE);
    return skv_emit(b, "ReduceMean", SKV_IN(skv_emit(b, "Mul", SKV_IN(d, d), SKV_NONE)),
                    SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_mse = {
    .name = "mse",
    .brief = "mean squared error",
    .build = build,
};
