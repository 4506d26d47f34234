/* Versions for writing. */
#ifndef SKV_ONNX_EXPORT_OPSET_H
#define SKV_ONNX_EXPORT_OPSET_H

#include "onnx/onnx.h"

#define SKV_ONNX_LEAST_WRITTEN 13

typedef struct skv_onnx_why {
    char text[240];
} skv_onnx_why;

/* The lowest version whose schemas allow every node; or a check of `asked`, if that is not 0. A model with operators
 * that skive does not know is only written in a version where they have the same meaning as in the source file. Errors:
 * ARGUMENT (asked), UNSUPPORTED (there is none), naming the node. */
skive_status skv_onnx_choose_opset(skive_context *ctx, const skive_graph *g, int asked, int *out);
int skv_onnx_ir_version(int opset);

#endif
