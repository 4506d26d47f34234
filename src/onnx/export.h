/* Shared by the files of the exporter: build.c makes a ModelProto whose weights point into the storages, export.c
 * streams it out. */
#ifndef SKV_ONNX_EXPORT_H
#define SKV_ONNX_EXPORT_H

#include "graph/marks.h"
#include "onnx/onnx.h"

typedef struct skv_onnx_weight { /* an initializer, for moving it to external data */
    Onnx__TensorProto *proto;
    const skive_tensor *tensor;
    uint64_t offset;
} skv_onnx_weight;

typedef struct skv_onnx_build {
    skive_context *ctx;
    skv_arena *arena; /* of everything below except the bytes of the weights */
    Onnx__ModelProto *model;
    int opset; /* it is written under */
    skv_onnx_weight *weights;
    size_t n_weights, weights_capacity;
    skive_tensor *inflated; /* copies of parameters in compressed forms, or turned into the file's order of bytes */
    size_t n_inflated, inflated_capacity;
    skv_marks marks; /* memory of metadata entries */
} skv_onnx_build;

/* The version of an operator set that is not the standard one, as the file said that the graph was read from; 1 where
 * none is known. Metadata with such a key stands for it and is not written as metadata. */
int64_t skv_onnx_domain_version(const skive_graph *g, const char *domain);
bool skv_onnx_is_domain_key(const char *key);

/* `opset` 0: the lowest. On failure skv_onnx_build_free must still be called. */
skive_status skv_onnx_build_model(skv_onnx_build *b, const skive_graph *graph, int opset);
void skv_onnx_build_free(skv_onnx_build *b);

#endif
