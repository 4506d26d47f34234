/* The targets of a loss as numbers in the shape of the scores. */
#include "train/train.h"

const skv_option skv_loss_smoothing_options[1] = {{.name = "smoothing",
                                                   .type = SKV_OPTION_REAL,
                                                   .most = 0.999,
                                                   .alias = "label-smoothing",
                                                   SKV_FIELD(DOUBLE, skive_train_options, label_smoothing),
                                                   .brief = "part of the target that is spread over all classes"}};

/* Class labels as rows of `off` with `on` at the label. */
static skive_value *one_hot(skv_builder *b, const skv_loss_args *a, int64_t classes, double off, double on) {
    const int64_t two = 2;
    skv_storage *pair = NULL;
    b->status = skv_storage_create(b->graph->ctx, a->logits->type.dtype, 1, &two, &pair);
    if (b->status != SKIVE_OK) return NULL;
    skive_tensor_set(&pair->tensor, 0, off);
    skive_tensor_set(&pair->tensor, 1, on);
    skive_value *values = skv_emit_param(b, NULL, pair);
    skive_value *depth = skv_emit_scalar(b, SKIVE_I64, (double)classes);
    return skv_emit(b, "OneHot", SKV_IN(a->labels, depth, values), SKV_ATTRS(SKV_INT("axis", -1)));
}

skive_value *skv_loss_target(skv_builder *b, const skv_loss_args *a, double smoothing, int64_t among) {
    if (b->status != SKIVE_OK) return NULL;
    const skive_type *scores = &a->logits->type, *given = &a->labels->type;
    const int64_t classes = scores->rank == 2 ? scores->dims[1].size : -1;
    if (classes < 1) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, a->logits->name,
                                "the loss needs scores [N, classes], '%s' is not", a->logits->name);
        return NULL;
    }
    const double off = smoothing / (double)(among > 0 ? among : classes), on = 1.0 - smoothing + off;
    if (given->dtype == SKIVE_I64) return one_hot(b, a, classes, off, on);
    int64_t numbers = 1;
    for (int d = 1; d < given->rank; d++) numbers *= given->dims[d].size;
    if (numbers != classes) {
        b->status =
            skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, a->logits->name,
                        "the model gives %lld score%s per sample, but there are %lld target%s", (long long)classes,
                        classes == 1 ? "" : "s", (long long)numbers, numbers == 1 ? "" : "s");
        return NULL;
    }
    skive_value *target =
        given->rank == scores->rank ? a->labels : skv_emit(b, "ReshapeLike", SKV_IN(a->labels, a->logits), SKV_NONE);
    if (smoothing == 0) return target;
    target = skv_emit(b, "Mul", SKV_IN(target, skv_emit_scalar(b, scores->dtype, on - off)), SKV_NONE);
    return skv_emit(b, "Add", SKV_IN(target, skv_emit_scalar(b, scores->dtype, off)), SKV_NONE);
}
