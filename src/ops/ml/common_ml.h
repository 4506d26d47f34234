/* What the operators of ai.onnx.ml share. */
#ifndef SKV_OPS_COMMON_ML_H
#define SKV_OPS_COMMON_ML_H

#include "ops/common_nn.h"

#define SKV_ML_DOMAIN "ai.onnx.ml"

/* The numbers of the attribute `list` (NULL: there is none) or, where it is absent, of the tensor `tensor` (NULL: there
 * is none); none if both are absent. Freed by skv_doubles_free. */
skive_status skv_ml_attr_doubles(skive_context *ctx, const skive_node *n, const char *list, const char *tensor,
                                 skv_doubles *out);
#endif
