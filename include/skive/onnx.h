/* ONNX files: reading into a graph, writing from one, and single tensors (.pb).
 *
 * Read: opset 1 to 23 (newer with a note), weights in initializers, `Constant` nodes, typed fields, sparse form or
 * external files. A file is mapped and its weights stay in the map, so loading a large model copies little. Every node
 * is brought to its opset-21 form. Operators skive does not know are kept: the graph can be inspected and written, but
 * not run. Written: opset 13 and up, the least that all nodes need. Files are written whole or not at all. */
#ifndef SKIVE_ONNX_H
#define SKIVE_ONNX_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits against hostile files. A file beyond one of them is refused with SKIVE_ERR_LIMIT before memory is taken for
 * it. */
typedef struct skive_onnx_load_options {
    size_t size;               /* sizeof(skive_onnx_load_options) */
    int max_depth;             /* of messages inside messages, 1 to 1000; a subgraph takes three. Default 100 */
    size_t max_nodes;          /* subgraphs and expanded functions included. Default 1,000,000 */
    uint64_t max_tensor_bytes; /* of one tensor. Default 8 GiB */
    size_t max_memory;         /* of everything decoded but the weights. Default 1 GiB */
    bool keep_unused;          /* keep initializers that nothing uses. Default false: dropped, with a note */
} skive_onnx_load_options;

typedef struct skive_onnx_save_options {
    size_t size; /* sizeof(skive_onnx_save_options) */
    int opset;   /* 0: the least that all nodes need (13 or more). Default 0 */
    uint64_t
        external_threshold; /* bytes of the file beyond which weights of 1 KiB and more go to "<file>.data" beside it.
                                  * Default 1.9e9: ONNX files end at 2 GB */
} skive_onnx_save_options;

SKIVE_API skive_onnx_load_options skive_onnx_load_options_default(void);
SKIVE_API skive_onnx_save_options skive_onnx_save_options_default(void);

/* Loads a model. `options` NULL means the defaults. The caller frees *out with skive_graph_free. Errors: IO; FORMAT
 * (not ONNX, truncated, an initializer that does not fit its shape, ...), LIMIT, UNSUPPORTED (nested tensor kinds),
 * GRAPH (undefined or duplicate value, cycle), SHAPE, MEMORY; each names the file and the place. */
SKIVE_API skive_status skive_onnx_load(skive_context *ctx, const char *path, const skive_onnx_load_options *options,
                                       skive_graph **out);

/* The same from memory. `base_dir` is where external data is looked for; NULL: a model with external data is refused.
 * The graph does not refer to `bytes` afterwards. */
SKIVE_API skive_status skive_onnx_parse(skive_context *ctx, const void *bytes, size_t n, const char *base_dir,
                                        const skive_onnx_load_options *options, skive_graph **out);

/* Loads a file that holds one TensorProto, as the ONNX test data does. Free with skive_tensor_free. */
SKIVE_API skive_status skive_onnx_load_tensor(skive_context *ctx, const char *path, skive_tensor *out);

/* Writes a model; until it is complete the old file stands. Errors: IO, ARGUMENT (opset too low: names the node),
 * UNSUPPORTED (a node of skive's internal domain, or one that lost a part in reading: names it), GRAPH, MEMORY. */
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
