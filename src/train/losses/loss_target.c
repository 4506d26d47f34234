/* The targets of a loss as numbers in the shape of the scores. */
#include "train/train.h"

/* Class labels as `off` with `on` at the label, along `axis`. */
static skive_value *one_hot(skv_builder *b, const skv_loss_args *a, skive_value *labels, int axis, int64_t classes,
                            double off, double on) {
    const int64_t two = 2;
    skv_storage *pair = NULL;
    b->status = skv_storage_create(b->graph->ctx, a->logits->type.dtype, 1, &two, &pair);
    if (b->status != SKIVE_OK) return NULL;
    skive_tensor_set(&pair->tensor, 0, off);
    skive_tensor_set(&pair->tensor, 1, on);
    skive_value *values = skv_emit_param(b, NULL, pair);
    skive_value *depth = skv_emit_scalar(b, SKIVE_I64, (double)classes);
    return skv_emit(b, "OneHot", SKV_IN(labels, depth, values), SKV_ATTRS(SKV_INT("axis", axis)));
}

/* Is `labels` what is left of the scores without this axis? Open sizes fit. */
static bool fits_without(const skive_type *scores, const skive_type *labels, int axis) {
    for (int d = 0, k = 0; d < scores->rank; d++) {
        if (d == axis) continue;
        const int64_t x = scores->dims[d].size, y = labels->dims[k++].size;
        if (x >= 0 && y >= 0 && x != y) return false;
    }
    return true;
}

int skv_loss_class_axis(skv_builder *b, const skv_loss_args *a) {
    const skive_type *scores = &a->logits->type, *labels = &a->labels->type;
    const bool dense = labels->dtype == SKIVE_I64 && labels->rank > 1;
    const int rank = dense ? labels->rank + 1 : 2;
    if (b->status != SKIVE_OK) return -1;
    int axis = scores->rank != rank                             ? -1
               : !dense || fits_without(scores, labels, 1)      ? 1
               : fits_without(scores, labels, scores->rank - 1) ? scores->rank - 1
                                                                : -1;
    if (axis >= 0 && scores->dims[axis].size < 1) axis = -1;
    if (axis >= 0) return axis;
    char of_scores[160], of_labels[160];
    skv_type_text(scores, of_scores, sizeof of_scores);
    skv_type_text(labels, of_labels, sizeof of_labels);
    b->status = dense
                    ? skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, a->logits->name,
                                  "the labels are %s, but the scores '%s' are %s; they need one axis more, of classes",
                                  of_labels, a->logits->name, of_scores)
                    : skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, a->logits->name,
                                  "the loss needs scores [N, classes], '%s' is not", a->logits->name);
    return -1;
}

skive_value *skv_loss_counted(skv_builder *b, const skv_loss_args *a, skive_value **labels) {
    *labels = a->labels;
    if (b->status != SKIVE_OK || a->labels->type.dtype != SKIVE_I64 || (a->labels->type.rank < 2 && !a->partly))
        return NULL;
    skive_value *zero = skv_emit_scalar(b, SKIVE_I64, 0);
    skive_value *counts = skv_emit(b, "GreaterOrEqual", SKV_IN(a->labels, zero), SKV_NONE);
    *labels = skv_emit(b, "Max", SKV_IN(a->labels, zero), SKV_NONE);
    return skv_emit(b, "Cast", SKV_IN(counts), SKV_ATTRS(SKV_INT("to", a->logits->type.dtype)));
}

skive_value *skv_loss_mean(skv_builder *b, skive_value *losses, skive_value *counted) {
    if (!counted) return skv_emit(b, "ReduceMean", SKV_IN(losses), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *sum = skv_emit(b, "ReduceSum", SKV_IN(skv_emit(b, "Mul", SKV_IN(losses, counted), SKV_NONE)),
                                SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *n = skv_emit(b, "ReduceSum", SKV_IN(counted), SKV_ATTRS(SKV_INT("keepdims", 0)));
    if (b->status != SKIVE_OK) return NULL;
    skive_value *one = skv_emit_scalar(b, n->type.dtype, 1);
    return skv_emit(b, "Div", SKV_IN(sum, skv_emit(b, "Max", SKV_IN(n, one), SKV_NONE)), SKV_NONE);
}

skive_value *skv_loss_target(skv_builder *b, const skv_loss_args *a, double smoothing, int64_t among) {
    const int axis = skv_loss_class_axis(b, a);
    if (b->status != SKIVE_OK) return NULL;
    const skive_type *scores = &a->logits->type, *given = &a->labels->type;
    const int64_t classes = scores->dims[axis].size;
    const double off = smoothing / (double)(among > 0 ? among : classes), on = 1.0 - smoothing + off;
    if (given->dtype == SKIVE_I64) {
        skive_value *labels;
        (void)skv_loss_counted(b, a, &labels);
        return one_hot(b, a, labels, axis == scores->rank - 1 ? -1 : axis, classes, off, on);
    }
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
