/* Weights of the classes in the loss: a rare class, or one whose mistakes cost more, counts more. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

static skive_status fail(skive_context *ctx, const char *text, int64_t classes) {
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "class weights",
                       "class weights '%s': give 'balanced', 'none' or %lld numbers above 0, such as 1,2.5,1", text,
                       (long long)classes);
}

static skive_status count_labels(skive_context *ctx, const skive_dataset *set, const skive_dataset_info *info,
                                 int64_t *counts) {
    int64_t *labels = NULL;
    skive_status status = skv_alloc_array(ctx, info->label_size, sizeof *labels, &labels);
    for (size_t i = 0; status == SKIVE_OK && i < info->count; i++) {
        status = skive_dataset_read_labels(ctx, set, i, labels);
        for (size_t k = 0; status == SKIVE_OK && k < info->label_size; k++) {
            if (labels[k] >= 0 && labels[k] < info->classes) counts[labels[k]]++;
        }
    }
    skv_free(ctx, labels);
    return status;
}

static skive_status read_numbers(skive_context *ctx, const char *text, int64_t classes, double *weights) {
    const char *at = text;
    for (int64_t c = 0; c < classes; c++) {
        char *end;
        weights[c] = strtod(at, &end);
        if (end == at || !(weights[c] > 0) || !isfinite(weights[c]) || *end != (c + 1 < classes ? ',' : '\0'))
            return fail(ctx, text, classes);
        at = end + 1;
    }
    return SKIVE_OK;
}

static void tell(skive_context *ctx, const char *text, const double *weights, const int64_t *counts, int64_t classes) {
    int64_t lowest = -1, highest = -1, absent = 0;
    for (int64_t c = 0; c < classes; c++) {
        absent += counts[c] == 0;
        if (counts[c] == 0) continue;
        if (lowest < 0 || weights[c] < weights[lowest]) lowest = c;
        if (highest < 0 || weights[c] > weights[highest]) highest = c;
    }
    if (lowest < 0) return;
    skv_note(ctx,
             "class weights (%s) from %.3g for class %lld to %.3g for class %lld, mean 1 over the training samples",
             text, weights[lowest], (long long)lowest, weights[highest], (long long)highest);
    if (absent) skv_note(ctx, "%lld of %lld classes have no training samples", (long long)absent, (long long)classes);
}

skive_status skv_class_weights(skive_context *ctx, const char *text, const skive_dataset *set, double **out) {
    skive_dataset_info info;
    int64_t *counts = NULL;
    double *weights = NULL, sum = 0, present = 0;
    skive_status status;
    *out = NULL;
    if (!text || strcmp(text, "none") == 0) return SKIVE_OK;
    skive_dataset_get_info(set, &info);
    if (!info.labelled)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "class weights", "%s has no class labels for class weights",
                           info.spec);
    const size_t k = (size_t)info.classes;
    SKV_GO(status, done, skv_alloc_array(ctx, k + 1, sizeof *counts, &counts));
    SKV_GO(status, done, skv_alloc_array(ctx, k + 1, sizeof *weights, &weights));
    SKV_GO(status, done, count_labels(ctx, set, &info, counts));
    if (strcmp(text, "balanced") == 0) {
        for (size_t c = 0; c < k; c++) weights[c] = counts[c] ? 1.0 / (double)counts[c] : 1.0;
    } else {
        SKV_GO(status, done, read_numbers(ctx, text, info.classes, weights));
    }
    for (size_t c = 0; c < k; c++) {
        sum += weights[c] * (double)counts[c];
        present += (double)counts[c];
    }
    for (size_t c = 0; c < k && sum > 0; c++) weights[c] *= present / sum;
    tell(ctx, text, weights, counts, info.classes);
    *out = weights;
    weights = NULL;
    status = SKIVE_OK;
done:
    skv_free(ctx, counts);
    skv_free(ctx, weights);
    return status;
}

/* Of probabilities [n][classes] the mean weight; of a class its weight, which a place of class -1 has as well, but is
 * not counted. */
static skive_value *weights_of(skv_builder *b, const skv_loss_args *a, int64_t classes) {
    const bool shares = a->labels->type.dtype != SKIVE_I64;
    const int64_t dims[2] = {classes, 1};
    skv_storage *s = NULL;
    b->status = skv_storage_create(b->graph->ctx, a->logits->type.dtype, shares ? 2 : 1, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t c = 0; c < classes; c++) skive_tensor_set(&s->tensor, c, a->class_weights[c]);
    skive_value *weights = skv_emit_param(b, NULL, s);
    if (!shares) return skv_emit(b, "Gather", SKV_IN(weights, a->labels), SKV_NONE);
    skive_value *each = skv_emit(b, "MatMul", SKV_IN(a->labels, weights), SKV_NONE);
    return skv_emit(b, "Squeeze", SKV_IN(each, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_NONE);
}

skive_value *skv_weight_samples(skv_builder *b, const skv_loss_args *a, skive_value *losses) {
    if (!a->class_weights || b->status != SKIVE_OK) return losses;
    skive_value *each = weights_of(b, a, a->n_classes);
    for (int d = each ? each->type.rank : 0; b->status == SKIVE_OK && d < losses->type.rank; d++)
        each = skv_emit(b, "Unsqueeze", SKV_IN(each, skv_emit_ints(b, (const int64_t[]){d}, 1)), SKV_NONE);
    return skv_emit(b, "Mul", SKV_IN(losses, each), SKV_NONE);
}
