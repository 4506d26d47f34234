/* Options that several losses have. */
#ifndef SKV_LOSS_H
#define SKV_LOSS_H

#include "train/train.h"

/* clang-format off */
#define SKV_LOSS_SMOOTHING                                                                        \
    {.name = "smoothing", .type = SKV_OPTION_REAL, .most = 0.999, .alias = "label-smoothing",     \
     SKV_FIELD(DOUBLE, skive_train_options, label_smoothing),                                     \
     .brief = "part of the target that is spread over all classes"}
/* clang-format on */

#endif
