/* ONNX files: reading into a graph, writing from one, and single tensors (.pb).
 *
 * Read: opset 1 to 28 (newer with a note), weights in initializers, `Constant` nodes, typed fields, sparse form or
 * external files. A file is read into one buffer, in which its weights stay, so that loading a large model copies
 * little. Every node is converted to its opset-21 form. Operators that skive does not know are kept: the graph can be
 * inspected and written, but not run. Written: opset 13 and up, the lowest that all nodes need. Files are replaced
 * atomically. */
#ifndef SKIVE_ONNX_H
#define SKIVE_ONNX_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits against hostile files. A file beyond one of them is refused with SKIVE_ERR_LIMIT before memory is allocated
 * for it. */
typedef struct skive_onnx_load_options {
    size_t size;               /* sizeof(skive_onnx_load_options) */
    int max_depth;             /* nesting depth of messages, 1 to 1000; a subgraph uses three. Default 100 */
    size_t max_nodes;          /* subgraphs and expanded functions included. Default 1,000,000 */
    uint64_t max_tensor_bytes; /* of one tensor. Default 8 GiB */
    size_t max_memory;         /* of everything decoded except the weights. Default 1 GiB */
    bool keep_unused;          /* keep unused initializers. Default false: removed, with a note */
} skive_onnx_load_options;

typedef struct skive_onnx_save_options {
    size_t size; /* sizeof(skive_onnx_save_options) */
    int opset;   /* 0: the lowest that all nodes need (13 or more). Default 0 */
    /* Bytes of the file beyond which weights of 1 KiB and more are written to "<file>.data" beside it. Default
     * 1.9e9: ONNX files cannot exceed 2 GB */
    uint64_t external_threshold;
} skive_onnx_save_options;

SKIVE_API skive_onnx_load_options skive_onnx_load_options_default(void);
SKIVE_API skive_onnx_save_options skive_onnx_save_options_default(void);

/* Loads a model. `options` NULL means the defaults. The caller frees *out with skive_graph_free. Errors: IO; FORMAT
 * (not ONNX, truncated, an initializer that does not fit its shape, ...), LIMIT, UNSUPPORTED (nested tensor kinds),
 * GRAPH (undefined or duplicate value, cycle), SHAPE, MEMORY; each names the file and the place. */
SKIVE_API skive_status skive_onnx_load(skive_context *ctx, const char *path, const skive_onnx_load_options *options,
                                       skive_graph **out);

/* The same from memory. `base_dir` is the folder of external data; NULL: a model with external data is refused. The
 * graph does not refer to `bytes` afterwards. */
SKIVE_API skive_status skive_onnx_parse(skive_context *ctx, const void *bytes, size_t n, const char *base_dir,
                                        const skive_onnx_load_options *options, skive_graph **out);

/* Loads a file that contains one TensorProto, as in the ONNX test data. Free with skive_tensor_free. */
SKIVE_API skive_status skive_onnx_load_tensor(skive_context *ctx, const char *path, skive_tensor *out);

/* Writes a model; an existing file is replaced when the new one is complete. Errors: IO, ARGUMENT (opset too low: names
 * the node), UNSUPPORTED (a node of skive's internal domain, or one that lost an attribute when it was read: names it),
 * GRAPH, MEMORY. */
SKIVE_API skive_status skive_onnx_save(skive_context *ctx, const skive_graph *graph, const char *path,
                                       const skive_onnx_save_options *options);

/* The same to memory, always in one piece (LIMIT beyond 2 GB). Free *out with skive_onnx_free_bytes. */
SKIVE_API skive_status skive_onnx_serialize(skive_context *ctx, const skive_graph *graph,
                                            const skive_onnx_save_options *options, void **out, size_t *out_size);
SKIVE_API void skive_onnx_free_bytes(skive_context *ctx, void *bytes);

#ifdef __cplusplus
}
#endif
#endif
