/* Mean squared error against float targets, or against one-hot classes when the labels are classes. */
#include "train/train.h"

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *d = skv_loss_difference(b, a, "mse");
    return skv_emit(b, "ReduceMean", SKV_IN(skv_emit(b, "Mul", SKV_IN(d, d), SKV_NONE)),
                    SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_mse = {
    .name = "mse",
    .brief = "mean squared error",
    .on_output = true,
    .build = build,
};
