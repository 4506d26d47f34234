/* Binary cross-entropy of scores that are taken one by one, mean over samples and scores. With the score z, the target
 * t and the weight w of what is true it is
 * -w t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z)) = w t softplus(-z) + (1 - t) softplus(z), which overflows nowhere,
 * and without a weight softplus(z) - t z. */
#include <string.h>

#include "train/loss.h"

static const skv_option options[] = {
    SKV_LOSS_SMOOTHING,
    {.name = "positive",
     .type = SKV_OPTION_LIST,
     .brief = "weight of what is true, for labels that are rare: one number, or one a label"}};

static skive_value *second_column(skv_builder *b, skive_value *x) {
    return skv_emit(b, "Gather", SKV_IN(x, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_ATTRS(SKV_INT("axis", 1)));
}

/* One score for two classes stands in the logits as (0, z); shares of the two classes stand in two columns as well. */
static skv_loss_args of_one_score(skv_builder *b, const skv_loss_args *a) {
    const skive_type *given = &a->labels->type;
    const bool shares = given->dtype != SKIVE_I64 && given->rank == 2 && given->dims[1].size == 2;
    skv_loss_args one = *a;
    if (!a->binary || (given->dtype != SKIVE_I64 && !shares) || b->status != SKIVE_OK) return one;
    one.logits = second_column(b, a->logits);
    if (shares) {
        one.labels = second_column(b, a->labels);
        return one;
    }
    skive_value *column =
        skv_emit(b, "Unsqueeze", SKV_IN(a->labels, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_NONE);
    one.labels = skv_emit(b, "Cast", SKV_IN(column), SKV_ATTRS(SKV_INT("to", a->logits->type.dtype)));
    return one;
}

static skive_value *refuse(skv_builder *b, const char *text, int64_t labels) {
    b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, "loss",
                            "binary-cross-entropy: positive=%s: give one number above 0, or %lld of them", text,
                            (long long)labels);
    return NULL;
}

/* [scores], or NULL where all are 1. */
static skive_value *weights_of(skv_builder *b, const skv_loss_args *a) {
    const char *text = a->options ? skv_option_text(a->options, "positive") : NULL, *at = text;
    skv_storage *s = NULL;
    if (!text || b->status != SKIVE_OK) return NULL;
    const int64_t labels = a->logits->type.dims[1].size;
    b->status = skv_storage_create(b->graph->ctx, a->logits->type.dtype, 1, &labels, &s);
    if (b->status != SKIVE_OK) return NULL;
    skive_value *weights = skv_emit_param(b, NULL, s);
    int64_t n = 0;
    for (bool more = true; more && b->status == SKIVE_OK; n++) {
        const size_t length = strcspn(at, ",");
        double x = 0;
        if (n == labels || !skv_parse_number(at, length, &x) || !(x > 0)) return refuse(b, text, labels);
        skive_tensor_set(&s->tensor, n, x);
        more = at[length] == ',';
        at += length + more;
    }
    if (n != 1 && n != labels) return refuse(b, text, labels);
    for (int64_t i = 1; n == 1 && i < labels; i++) skive_tensor_set(&s->tensor, i, skive_tensor_get(&s->tensor, 0));
    return weights;
}

static skive_value *softplus(skv_builder *b, skive_value *z) { return skv_emit(b, "Softplus", SKV_IN(z), SKV_NONE); }

static skive_value *weighed(skv_builder *b, skive_value *target, skive_value *z, skive_value *weights) {
    skive_value *true_part = skv_emit(b, "Mul", SKV_IN(target, weights), SKV_NONE);
    true_part = skv_emit(b, "Mul", SKV_IN(true_part, softplus(b, skv_emit(b, "Neg", SKV_IN(z), SKV_NONE))), SKV_NONE);
    if (b->status != SKIVE_OK) return NULL;
    skive_value *rest = skv_emit(b, "Sub", SKV_IN(skv_emit_scalar(b, z->type.dtype, 1), target), SKV_NONE);
    return skv_emit(b, "Add", SKV_IN(true_part, skv_emit(b, "Mul", SKV_IN(rest, softplus(b, z)), SKV_NONE)), SKV_NONE);
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    const skv_loss_args of = of_one_score(b, a);
    skive_value *target = skv_loss_target(b, &of, a->label_smoothing, 2), *weights = weights_of(b, &of);
    if (b->status != SKIVE_OK) return NULL;
    skive_value *product = weights ? NULL : skv_emit(b, "Mul", SKV_IN(target, of.logits), SKV_NONE);
    skive_value *terms = weights ? weighed(b, target, of.logits, weights)
                                 : skv_emit(b, "Sub", SKV_IN(softplus(b, of.logits), product), SKV_NONE);
    return skv_emit(b, "ReduceMean", SKV_IN(skv_weight_samples(b, a, terms)), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_binary_cross_entropy = {
    .name = "binary-cross-entropy",
    .brief = "sigmoid cross-entropy of each score, with a label of its own",
    SKV_OPTIONS(options),
    .weighs = true,
    .build = build,
};
