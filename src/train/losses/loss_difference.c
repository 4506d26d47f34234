/* What losses on values share: the difference of the model's output and the targets. Class labels are one-hot
 * targets. */
#include "train/train.h"

skive_value *skv_loss_output(const skv_loss_args *a) { return a->output ? a->output : a->logits; }

/* Targets in the shape of the outputs: [N] and [N, 1] mean the same and must not be broadcast to [N, N]. */
static skive_value *match(skv_builder *b, const skv_loss_args *a, const char *who) {
    const skive_type *given = &a->labels->type, *wanted = &skv_loss_output(a)->type;
    int64_t x[SKIVE_MAX_RANK], y[SKIVE_MAX_RANK], counts[2] = {1, 1};
    bool fits = wanted->rank > 0, same = given->rank == wanted->rank;
    for (int d = 1; d < wanted->rank && fits; d++) {
        x[d - 1] = wanted->dims[d].size;
        fits = x[d - 1] >= 0 && skv_mul_i64(counts[0], x[d - 1], &counts[0]);
    }
    for (int d = 1; d < given->rank && fits; d++) {
        y[d - 1] = given->dims[d].size;
        fits = y[d - 1] >= 0 && skv_mul_i64(counts[1], y[d - 1], &counts[1]);
        same = same && x[d - 1] == y[d - 1];
    }
    if (!fits || counts[0] != counts[1] || !skv_same_places(x, wanted->rank - 1, y, given->rank - 1)) {
        char of_output[160], of_targets[160];
        skv_type_text(wanted, of_output, sizeof of_output);
        skv_type_text(given, of_targets, sizeof of_targets);
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, skv_loss_output(a)->name,
                                "%s: the model gives %s, but the targets are %s", who, of_output, of_targets);
        return NULL;
    }
    return same ? a->labels : skv_emit(b, "ReshapeLike", SKV_IN(a->labels, skv_loss_output(a)), SKV_NONE);
}

skive_value *skv_loss_aim(skv_builder *b, const skv_loss_args *a, const char *who) {
    const skive_dtype dtype = skv_loss_output(a)->type.dtype;
    if (a->labels->type.dtype != SKIVE_I64) return match(b, a, who);
    if (skv_loss_output(a)->type.rank != 2 || skv_loss_output(a)->type.dims[1].size < 1) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, skv_loss_output(a)->name,
                                "%s on classes needs scores [N, classes], '%s' is not", who, skv_loss_output(a)->name);
        return NULL;
    }
    const int64_t two = 2;
    skv_storage *pair = NULL;
    b->status = skv_storage_create(b->graph->ctx, dtype, 1, &two, &pair);
    if (b->status != SKIVE_OK) return NULL;
    skive_tensor_set(&pair->tensor, 1, 1.0);
    skive_value *values = skv_emit_param(b, NULL, pair);
    const int64_t classes = skv_loss_output(a)->type.dims[1].size;
    return skv_emit(b, "OneHot", SKV_IN(a->labels, skv_emit_scalar(b, SKIVE_I64, (double)classes), values),
                    SKV_ATTRS(SKV_INT("axis", -1)));
}

/* 1 / deviation, of each target along the axis that numbers them. */
static skive_value *one_over(skv_builder *b, const skv_loss_args *a, const skive_value *d) {
    const int64_t n = a->scale->n;
    const int axis = skv_score_axis(&d->type, 0), rank = d->type.rank;
    int64_t dims[SKIVE_MAX_RANK];
    skv_storage *s = NULL;
    if (n == 1) return skv_emit_scalar(b, d->type.dtype, 1 / a->scale->std[0]);
    for (int i = 0; i < rank; i++) dims[i] = i == axis ? n : 1;
    b->status = axis < 0 || d->type.dims[axis].size != n
                    ? SKV_FAIL(b->graph->ctx, SKIVE_ERR_SHAPE, "the model does not have one output per target")
                    : skv_storage_create(b->graph->ctx, d->type.dtype, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < n; i++) skive_tensor_set(&s->tensor, i, 1 / a->scale->std[i]);
    return skv_emit_param(b, NULL, s);
}

skive_value *skv_loss_difference(skv_builder *b, const skv_loss_args *a, const char *who) {
    if (b->status != SKIVE_OK) return NULL;
    skive_value *d = skv_emit(b, "Sub", SKV_IN(skv_loss_output(a), skv_loss_aim(b, a, who)), SKV_NONE);
    if (a->scale && b->status == SKIVE_OK) d = skv_emit(b, "Mul", SKV_IN(d, one_over(b, a, d)), SKV_NONE);
    return d;
}
