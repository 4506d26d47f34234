/* 1 - the cosine of the angle between output and target, each taken as one vector a sample; mean over the samples. Only
 * the direction of the target counts, so that targets are never standardised. */
#include "train/train.h"

static skive_value *squares_of(skv_builder *b, skive_value *x) {
    return skv_emit(b, "ReduceSumSquare", SKV_IN(x, skv_emit_ints(b, (const int64_t[]){1}, 1)),
                    SKV_ATTRS(SKV_INT("keepdims", 0)));
}

static skive_value *length(skv_builder *b, skive_value *squares, skive_value *least) {
    return skv_emit(b, "Sqrt", SKV_IN(skv_emit(b, "Max", SKV_IN(squares, least), SKV_NONE)), SKV_NONE);
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *aim = skv_loss_aim(b, a, "cosine");
    skive_value *x = skv_emit(b, "Flatten", SKV_IN(skv_loss_output(a)), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *y = skv_emit(b, "Flatten", SKV_IN(aim), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *dot = skv_emit(
        b, "ReduceSum", SKV_IN(skv_emit(b, "Mul", SKV_IN(x, y), SKV_NONE), skv_emit_ints(b, (const int64_t[]){1}, 1)),
        SKV_ATTRS(SKV_INT("keepdims", 0)));
    if (b->status != SKIVE_OK) return NULL;
    /* A vector of zeros has no direction: the loss is 1, and nothing follows from it. */
    skive_value *least = skv_emit_scalar(b, x->type.dtype, 1e-12), *zero = skv_emit_scalar(b, x->type.dtype, 0);
    skive_value *of_x = squares_of(b, x), *of_y = squares_of(b, y);
    skive_value *has = skv_emit(b, "Greater", SKV_IN(of_x, least), SKV_NONE);
    dot = skv_emit(b, "Where", SKV_IN(has, dot, zero), SKV_NONE);
    skive_value *lengths = skv_emit(b, "Mul", SKV_IN(length(b, of_x, least), length(b, of_y, least)), SKV_NONE);
    skive_value *mean = skv_emit(b, "ReduceMean", SKV_IN(skv_emit(b, "Div", SKV_IN(dot, lengths), SKV_NONE)),
                                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    if (b->status != SKIVE_OK) return NULL;
    return skv_emit(b, "Sub", SKV_IN(skv_emit_scalar(b, x->type.dtype, 1), mean), SKV_NONE);
}

const skv_loss skv_loss_cosine = {
    .name = "cosine",
    .brief = "1 - the cosine of output and target",
    .on_output = true,
    .raw = true,
    .build = build,
};
