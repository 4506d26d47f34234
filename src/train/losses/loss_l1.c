/* Mean absolute error: |output - target|, whose minimum is the median. */
#include "train/train.h"

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *d = skv_loss_difference(b, a, "l1");
    return skv_emit(b, "ReduceMean", SKV_IN(skv_emit(b, "Abs", SKV_IN(d), SKV_NONE)),
                    SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_l1 = {
    .name = "l1",
    .brief = "mean absolute error",
    .on_output = true,
    .build = build,
};
