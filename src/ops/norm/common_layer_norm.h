/* Shared by LayerNormalization and its gradient: the groups of normalized elements, and the scale of each element. */
#ifndef SKV_OPS_COMMON_LAYER_NORM_H
#define SKV_OPS_COMMON_LAYER_NORM_H

#include "ops/common_nn.h"

typedef struct skv_layer_rows {
    int64_t outer, inner;
    int64_t *scale_of; /* [inner] index into scale; freed by skv_free */
} skv_layer_rows;

/* Checks that input i, broadcast to the left, fits the axes from `axis` on of input x. */
skive_status skv_layer_want_scale(skv_infer *c, size_t x, size_t i, int64_t axis);
skive_status skv_layer_rows_of(const skv_eval *c, const skive_tensor *x, const skive_tensor *scale,
                               skv_layer_rows *out);

#endif
