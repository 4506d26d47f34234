/* Huber's loss (Huber 1964) of the difference d: d^2 / 2 up to delta, and delta (|d| - delta / 2) beyond, so that far
 * outliers pull no more than near ones. With c = min(|d|, delta) both are c (|d| - c / 2). */
#include "train/train.h"

static const skv_option options[] = {{.name = "delta",
                                      .type = SKV_OPTION_REAL,
                                      .above = true,
                                      .most = 1e9,
                                      .fallback = 1,
                                      .brief = "where it turns from square to straight; in deviations of the target "
                                               "unless targets are raw"}};

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *d = skv_loss_difference(b, a, "huber");
    if (b->status != SKIVE_OK) return NULL;
    const skive_dtype dtype = d->type.dtype;
    skive_value *size = skv_emit(b, "Abs", SKV_IN(d), SKV_NONE);
    skive_value *c = skv_emit(b, "Min", SKV_IN(size, skv_emit_scalar(b, dtype, skv_loss_number(a, options))), SKV_NONE);
    skive_value *half = skv_emit(b, "Mul", SKV_IN(c, skv_emit_scalar(b, dtype, 0.5)), SKV_NONE);
    skive_value *terms = skv_emit(b, "Mul", SKV_IN(c, skv_emit(b, "Sub", SKV_IN(size, half), SKV_NONE)), SKV_NONE);
    return skv_emit(b, "ReduceMean", SKV_IN(terms), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_huber = {
    .name = "huber",
    .brief = "squared error near the target, absolute error far from it",
    SKV_OPTIONS(options),
    .on_output = true,
    .build = build,
};
