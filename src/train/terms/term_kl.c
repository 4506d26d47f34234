/* Soft labels (Hinton, Vinyals & Dean 2015): T^2 * KL(softmax(teacher / T) || softmax(student / T)), mean over the
 * batch, and of places and steps over these. T^2 keeps the gradients' size the same whatever the temperature. Of a
 * teacher that knows a part of the classes, both are distributions over these. */
#include "train/terms/term.h"

static const skv_option options[] = {SKV_TERM_TEMPERATURE, SKV_TERM_WEIGHT(1)};

static skive_value *log_softmax(skv_builder *b, skive_value *x, int axis) {
    return skv_emit(b, "LogSoftmax", SKV_IN(x), SKV_ATTRS(SKV_INT("axis", axis)));
}

/* Of single sigmoids, with q = sigmoid(z / T) and p the teacher's: softplus(z) - softplus(y) - p (z - y), mean over
 * all. */
static skive_value *of_sigmoids(skv_builder *b, const skv_loss_args *a, skive_value *z, skive_value *y) {
    (void)a;
    skive_value *p = skv_emit(b, "Sigmoid", SKV_IN(y), SKV_NONE);
    skive_value *soft = skv_emit(
        b, "Sub", SKV_IN(skv_emit(b, "Softplus", SKV_IN(z), SKV_NONE), skv_emit(b, "Softplus", SKV_IN(y), SKV_NONE)),
        SKV_NONE);
    skive_value *line = skv_emit(b, "Mul", SKV_IN(p, skv_emit(b, "Sub", SKV_IN(z, y), SKV_NONE)), SKV_NONE);
    return skv_emit(b, "ReduceMean", SKV_IN(skv_emit(b, "Sub", SKV_IN(soft, line), SKV_NONE)),
                    SKV_ATTRS(SKV_INT("keepdims", 0)));
}

/* Of samples without a label alone, where the term is of those; the mean is over all. */
static skive_value *of_softmax(skv_builder *b, const skv_loss_args *a, skive_value *z, skive_value *y) {
    if (b->status != SKIVE_OK) return NULL;
    const int axis = skv_term_class_axis(a->head, a->logits, a->labels);
    skive_value *log_p = log_softmax(b, y, axis), *log_q = log_softmax(b, z, axis);
    skive_value *p = skv_emit(b, "Exp", SKV_IN(log_p), SKV_NONE);
    skive_value *terms = skv_emit(b, "Mul", SKV_IN(p, skv_emit(b, "Sub", SKV_IN(log_p, log_q), SKV_NONE)), SKV_NONE);
    skive_value *sum = skv_emit(b, "ReduceSum", SKV_IN(terms, skv_emit_ints(b, (const int64_t[]){axis}, 1)),
                                SKV_ATTRS(SKV_INT("keepdims", 0)));
    if (a->counts) sum = skv_term_two(b, "Mul", sum, a->counts);
    if (a->rest && b->status == SKIVE_OK) {
        skive_value *without = skv_term_two(b, "Less", a->labels, skv_emit_scalar(b, SKIVE_I64, 0));
        without = skv_emit(b, "Cast", SKV_IN(without), SKV_ATTRS(SKV_INT("to", z->type.dtype)));
        sum = skv_term_two(b, "Mul", sum, without);
    }
    return skv_emit(b, "ReduceMean", SKV_IN(sum), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    const skive_dtype dtype = a->logits->type.dtype;
    const double t = skv_term_temperature(a);
    skive_value *cool = skv_emit_scalar(b, dtype, 1.0 / t);
    skive_value *y = skv_emit(b, "Mul", SKV_IN(a->teacher, cool), SKV_NONE);
    skive_value *logits = a->logits;
    if (a->known) /* the student's answer among the classes that the teacher knows */
        logits = skv_emit(b, "Gather", SKV_IN(logits, skv_emit_ints(b, a->known, (size_t)a->n_known)),
                          SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *z = skv_emit(b, "Mul", SKV_IN(logits, cool), SKV_NONE);
    skive_value *mean = (a->sigmoid ? of_sigmoids : of_softmax)(b, a, z, y);
    return skv_emit(b, "Mul", SKV_IN(mean, skv_emit_scalar(b, dtype, t * t)), SKV_NONE);
}

const skv_loss skv_loss_kl = {
    .name = "kl",
    .brief = "divergence from the soft labels of a teacher at a temperature, times its square",
    SKV_OPTIONS(options),
    .needs_teacher = true,
    .weight = 1,
    .mixes = true,
    .part = true,
    .build = build,
};
