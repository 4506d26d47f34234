/* Versions for writing. */
#ifndef SKV_ONNX_EXPORT_OPSET_H
#define SKV_ONNX_EXPORT_OPSET_H

#include "onnx/onnx.h"

#define SKV_ONNX_LEAST_WRITTEN 13

/* The least version that has all of the graph's nodes as they are; *what names the one that needs it, if it is above 13. */
int skv_onnx_least_opset(const skive_graph *g, const char **what);
/* An operator of the standard domain that skive does not know, and which therefore stands as it was read; or NULL. */
const char *skv_onnx_unknown_standard(const skive_graph *g);
int skv_onnx_ir_version(int opset);

#endif
