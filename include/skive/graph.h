/* The graph: the representation of a network in skive.
 *
 * A graph has values (tensors) and nodes (operations on them). A value is produced by one node, or is a graph input, or
 * is a parameter (it has data). Operators have ONNX names and their opset-21 meaning; older opsets are converted when a
 * file is read. Nodes may be in any order; the execution order is computed from the values.
 *
 * A graph owns its nodes, values and names; pointers to them are borrowed and live as long as the graph, or until the
 * node or value is removed. Parameters are counted storages, so a copy of a graph shares them until one side writes.
 *
 * Every function that edits a graph either succeeds or leaves it unchanged. */
#ifndef SKIVE_GRAPH_H
#define SKIVE_GRAPH_H

#include <skive/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_graph skive_graph;
typedef struct skive_node skive_node;
typedef struct skive_value skive_value;

/* A dimension: `size` >= 0 when known; otherwise -1 and, if it has a name ("N"), `symbol`. */
typedef struct skive_dim {
    int64_t size;
    const char *symbol;
} skive_dim;

/* Element type and shape of a value. Unknown type: SKIVE_DTYPE_NONE. Unknown rank: -1. */
typedef struct skive_type {
    skive_dtype dtype;
    int rank;
    skive_dim dims[SKIVE_MAX_RANK];
} skive_type;

/* A type with known dimensions. Rank over SKIVE_MAX_RANK gives rank -1. */
SKIVE_API skive_type skive_type_make(skive_dtype dtype, int rank, const int64_t *dims);

/* ---- life ---- */

SKIVE_API skive_status skive_graph_create(skive_context *ctx, const char *name, skive_graph **out);
SKIVE_API void skive_graph_free(skive_graph *graph);
/* A deep copy that shares parameter storages. Node and value ids and names are the same in the copy. */
SKIVE_API skive_status skive_graph_copy(skive_context *ctx, const skive_graph *graph, skive_graph **out);
/* Replaces the contents of *graph by those of *other and frees the rest: this commits a multi-step edit made on a
 * copy. */
SKIVE_API void skive_graph_take(skive_graph *graph, skive_graph *other);

/* ---- reading ---- */

SKIVE_API const char *skive_graph_name(const skive_graph *graph);
SKIVE_API size_t skive_graph_node_count(const skive_graph *graph);
/* Bytes of the other files that a model was read from (ONNX's external data); 0: there are none, or it is a copy. */
SKIVE_API uint64_t skive_graph_external_bytes(const skive_graph *graph);
SKIVE_API skive_node *skive_graph_node(const skive_graph *graph, size_t index); /* in order of insertion */
SKIVE_API size_t skive_graph_value_count(const skive_graph *graph);
SKIVE_API skive_value *skive_graph_value(const skive_graph *graph, size_t index);
SKIVE_API size_t skive_graph_input_count(const skive_graph *graph);
SKIVE_API skive_value *skive_graph_input(const skive_graph *graph, size_t index);
SKIVE_API size_t skive_graph_output_count(const skive_graph *graph);
SKIVE_API skive_value *skive_graph_output(const skive_graph *graph, size_t index);
SKIVE_API skive_value *skive_graph_find_value(const skive_graph *graph, const char *name); /* NULL when absent */
SKIVE_API skive_node *skive_graph_find_node(const skive_graph *graph, const char *name);

SKIVE_API const char *skive_value_name(const skive_value *value);
SKIVE_API const skive_type *skive_value_type(const skive_value *value);
SKIVE_API skive_node *
skive_value_producer(const skive_value *value); /* NULL: an input, a parameter, or a value of an enclosing graph */
/* The parameter's data, borrowed and read-only; NULL when the value is not a parameter. */
SKIVE_API const skive_tensor *skive_value_data(const skive_value *value);
SKIVE_API bool skive_value_is_trainable(const skive_value *value);
SKIVE_API skive_status skive_value_set_trainable(skive_value *value, bool trainable);

SKIVE_API const char *skive_node_name(const skive_node *node);
SKIVE_API const char *skive_node_op(const skive_node *node);     /* "Conv" */
SKIVE_API const char *skive_node_domain(const skive_node *node); /* "" is the ONNX standard */
SKIVE_API size_t skive_node_input_count(const skive_node *node);
SKIVE_API skive_value *skive_node_input(const skive_node *node, size_t index); /* NULL: absent optional input */
SKIVE_API size_t skive_node_output_count(const skive_node *node);
SKIVE_API skive_value *skive_node_output(const skive_node *node, size_t index);
/* Graphs that a node has as attributes (the branches of If, the body of Loop), borrowed; `attribute` may be NULL. */
SKIVE_API size_t skive_node_subgraph_count(const skive_node *node);
SKIVE_API const skive_graph *skive_node_subgraph(const skive_node *node, size_t index, const char **attribute);

/* Metadata of the model (ONNX metadata_props). `value` NULL removes the key. */
SKIVE_API const char *skive_graph_meta(const skive_graph *graph, const char *key); /* NULL when absent */
SKIVE_API skive_status skive_graph_set_meta(skive_graph *graph, const char *key, const char *value);

/* ---- building and editing ---- a name of NULL is generated; a name already in use is an error ---- */

SKIVE_API skive_status skive_graph_add_input(skive_graph *graph, const char *name, const skive_type *type,
                                             skive_value **out);
/* Adds a parameter with a copy of the data of `tensor`. */
SKIVE_API skive_status skive_graph_add_parameter(skive_graph *graph, const char *name, const skive_tensor *tensor,
                                                 skive_value **out);
SKIVE_API skive_status skive_graph_add_output(skive_graph *graph, skive_value *value);
/* Adds a node of an op of the standard domain with new outputs; `inputs` may contain NULL for absent optional
 * inputs. */
SKIVE_API skive_status skive_graph_add_node(skive_graph *graph, const char *op, const char *name,
                                            skive_value *const *inputs, size_t n_inputs, size_t n_outputs,
                                            skive_node **out);
SKIVE_API skive_status skive_node_set_int(skive_node *node, const char *attribute, int64_t value);
/* Rounded to float32, as ONNX has it. */
SKIVE_API skive_status skive_node_set_float(skive_node *node, const char *attribute, double value);
SKIVE_API skive_status skive_node_set_string(skive_node *node, const char *attribute, const char *value);
SKIVE_API skive_status skive_node_set_ints(skive_node *node, const char *attribute, const int64_t *values, size_t n);

/* Errors: GRAPH (another value has the name), ARGUMENT, MEMORY. */
SKIVE_API skive_status skive_value_rename(skive_value *value, const char *name);

/* Replaces a parameter's data by a copy of `tensor`; type and shape may change (run skive_graph_infer afterwards). */
SKIVE_API skive_status skive_value_set_data(skive_value *value, const skive_tensor *tensor);

/* ---- whole-graph services ---- */

/* Recomputes the type of every value from the inputs and parameters. On failure the old types are kept. Errors: SHAPE
 * and GRAPH, naming the node; unknown ops leave their outputs' declared types. */
SKIVE_API skive_status skive_graph_infer(skive_graph *graph);

/* Sets the open dimensions of an input to these sizes (-1: stays open) and infers all types again. On failure the graph
 * is unchanged. Errors: NOT_FOUND (no such input), SHAPE (another rank, a fixed dimension of another size, or as
 * skive_graph_infer). */
SKIVE_API skive_status skive_graph_bind_input(skive_graph *graph, const char *input, int rank, const int64_t *dims);

/* Checks that the graph is well formed: every input has a source, names are unique, no cycle, numbers of inputs and
 * outputs and attribute types follow the op's schema, types are consistent. Errors: GRAPH, SHAPE, naming the first
 * fault. */
SKIVE_API skive_status skive_graph_check(const skive_graph *graph);

/* All ops in the graph (subgraphs included) that skive cannot run, as "Op (domain) xN" joined by ", "; empty when all
 * are known. Freed by skive_string_free. */
SKIVE_API skive_status skive_graph_unsupported(const skive_graph *graph, char **out);

/* A readable listing, one node per line. Freed by skive_string_free. */
SKIVE_API skive_status skive_graph_print(const skive_graph *graph, char **out);
SKIVE_API void skive_string_free(skive_context *ctx, char *text);

/* True if the graph was exported in training mode: it has BatchNormalization with batch statistics, so that the result
 * of a sample depends on the others of its batch, or active Dropout. */
SKIVE_API bool skive_graph_in_training_mode(const skive_graph *graph);
/* Converts such a graph to inference form: running statistics, no dropout. A note reports it. Training, pruning,
 * sharing and quantization convert the graph they are given; evaluation and distillation convert a copy of the model or
 * teacher. Other graphs are unchanged. */
SKIVE_API skive_status skive_graph_to_inference(skive_graph *graph);
/* A graph that computes in float16, bfloat16 or float64 computes in float32 afterwards: parameters, values between nodes,
 * inputs and outputs; values keep their names. A note tells of it. The methods do this with what they are given, as
 * above. Weights that are stored with 16 bits and cast before their use (skive_quantize_weights) are float32 already and
 * stay as they are, and so does what control flow passes on. Running a model does not need it. Errors: MEMORY; the graph
 * is unchanged. */
SKIVE_API skive_status skive_graph_to_float32(skive_graph *graph);

typedef struct skive_cost {
    int64_t macs;       /* multiply-accumulates */
    int64_t operations; /* other element operations */
    int64_t parameters; /* elements of parameters (floating point and quantized weights, biases, norms) */
    int64_t nonzeros;   /* nonzero ones of these (a quantized weight: not equal to its zero point) */
    int64_t parameter_bytes;
    int64_t activation_bytes; /* of the outputs */
} skive_cost;

/* Cost of one node by itself or of the whole graph, unknown dimensions counted as 1. A parameter used twice counts
 * once in the graph's sum. Subgraphs are part of the graph's sum: all their parameters, and the work of the most
 * expensive one of a node (an If runs one branch; a loop's body counts once). */
SKIVE_API skive_status skive_node_cost(const skive_node *node, skive_cost *out);
SKIVE_API skive_status skive_graph_cost(const skive_graph *graph, skive_cost *out);

#ifdef __cplusplus
}
#endif
#endif
