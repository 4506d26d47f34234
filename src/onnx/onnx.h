/* Internals of src/onnx.
 *
 * Steps of reading: read the file into memory; wire.c parses its wire format under limits and writes a small copy
 * without the weights, in which each weight field is replaced by a reference into the file; protobuf-c unpacks that
 * copy; import.c and related files build the graph, with weights that point into the file's buffer. */
#ifndef SKV_ONNX_H
#define SKV_ONNX_H

#include <skive/onnx.h>

#include "base/base.h"
#include "graph/graph.h"
#include "onnx.pb-c.h"
#include "graph/op.h"

/* ---- wire.c ---- */

/* The contents of TensorProto.raw_data in the checked copy: the position of the data in the original. */
typedef struct skv_onnx_ref {
    uint64_t offset, length;
    /* 9: raw_data; 4: float_data and 10: double_data, which are packed and have the same bytes as raw data */
    uint64_t field;
} skv_onnx_ref;

typedef struct skv_onnx_limits {
    int max_depth;
    size_t max_nodes, max_memory;
} skv_onnx_limits;

typedef enum skv_onnx_root { SKV_ONNX_MODEL, SKV_ONNX_TENSOR } skv_onnx_root;

/* Checks `bytes` and writes the copy to *out (freed by skv_free). ERR_FORMAT and ERR_LIMIT name `label` and the
 * byte. */
skive_status skv_onnx_check_wire(skive_context *ctx, const char *label, skv_onnx_root root, const unsigned char *bytes,
                                 size_t n, const skv_onnx_limits *limits, unsigned char **out, size_t *out_n);

/* ---- the source of a model, and what is decoded from it ---- */

typedef struct skv_onnx_external {
    const char *location; /* as written in the model */
    skv_map *map;
} skv_onnx_external;

typedef struct skv_onnx_source {
    skive_context *ctx;
    const char *label;          /* the file's path, or "model" */
    const unsigned char *bytes; /* the whole file */
    size_t n;
    skv_map *map;         /* of the file, or NULL when parsing memory */
    const char *path;     /* of the file, or NULL */
    const char *base_dir; /* for external data; NULL: not allowed */
    skive_onnx_load_options options;
    skv_arena *arena; /* memory of protobuf-c and everything else with the lifetime of the import */
    bool over_limit;
    skive_status no_memory; /* the reason why protobuf-c got no memory */
    ProtobufCAllocator allocator;
    skv_onnx_external *external; /* opened so far */
    size_t n_external, external_capacity;
} skv_onnx_source;

/* Scans and prepares `source->allocator` and the arena; *out is unpacked from the copy (valid until close). */
skive_status skv_onnx_source_open(skv_onnx_source *source, skv_onnx_root root, ProtobufCMessage **out);
void skv_onnx_source_close(skv_onnx_source *source);

/* ---- tensor.c ---- */

/* True if skive supports the element type. */
bool skv_onnx_dtype_known(int32_t data_type);
/* "string", "complex64", "float8e4m3fn"...: for messages. */
const char *skv_onnx_dtype_text(int32_t data_type);
/* A storage with the tensor's data, pointing into the file's buffer if possible. `what` names it in messages
 * ("initializer"). The data type must be known. */
skive_status skv_onnx_storage(skv_onnx_source *source, const char *what, const char *name,
                              const Onnx__TensorProto *tensor, skv_storage **out);
/* Dense form of a sparse tensor. */
skive_status skv_onnx_densify(skv_onnx_source *source, const char *name, const Onnx__SparseTensorProto *sparse,
                              skv_storage **out);

/* ---- external.c ---- */

/* The file map and the range of a tensor's external data; `bytes` is what its shape needs. The map is borrowed. */
skive_status skv_onnx_external_find(skv_onnx_source *source, const char *name, const Onnx__TensorProto *tensor,
                                    size_t bytes, skv_map **map, size_t *offset);

/* ---- functions.c ---- */

/* Replaces calls of the model's local functions by their bodies, in place. */
skive_status skv_onnx_expand_functions(skv_onnx_source *source, Onnx__ModelProto *model);

/* ---- legacy.c ---- */

/* Converts a node of opset 1 to 6 to the form of opset 7 (explicit broadcasting, attributes that became inputs,
 * test-mode flags). */
skive_status skv_onnx_upgrade_legacy(skv_onnx_source *source, skive_node *n, int from);

/* ---- contrib.c ---- */

/* Replaces a node of com.microsoft by standard nodes, if its form has an equivalent; otherwise it is kept. */
skive_status skv_onnx_import_contrib(skive_node *n);

/* ---- ml.c ---- */

/* The same for a node of ai.onnx.ml. */
skive_status skv_onnx_import_ml(skive_node *n);

/* ---- attribute.c ---- */

/* Sets one attribute of `n`. Types that a graph does not support are dropped with a note and recorded on the node, so
 * that it is not written back incomplete. Subgraphs are handled by the caller. */
skive_status skv_onnx_set_attribute(skv_onnx_source *source, skive_node *n, const Onnx__AttributeProto *a);
#define SKV_ONNX_DROPPED "skive.dropped" /* attribute that lists the dropped ones */

/* ---- import.c ---- */

skive_status skv_onnx_import(skv_onnx_source *source, Onnx__ModelProto *model, skive_graph **out);
#define SKV_ONNX_MIN_OPSET 1 /* below 7: as converted by legacy.c */
#define SKV_ONNX_MAX_OPSET 28

/* Name of a protobuf string that may be NULL. */
static inline const char *skv_onnx_text(const char *text) { return text ? text : ""; }

#endif
