/* Building a network expression by expression. Each call adds a node and infers the types of its results at once, so
 * that the next one can read them. The first failure stays in the builder, and every later call does nothing and gives
 * NULL: a whole network is written down without a check between its lines, and checked once at its end.
 *
 *     skive_builder b = skive_builder_of(graph);
 *     skive_value *w = skive_build_parameter(&b, "fc.weight", &weight, true);
 *     skive_value *y = skive_build_node(&b, "MatMul", "fc", (skive_value *[]){x, w}, 2, NULL, 0, NULL, 1);
 *     y = skive_build_node(&b, "Relu", NULL, &y, 1, NULL, 0, NULL, 1);
 *     if (b.status != SKIVE_OK) ...
 *
 * Operators and attributes are those of ONNX (skive/graph.h). The built-in networks (skive/zoo.h) are made of these
 * calls. */
#ifndef SKIVE_BUILD_H
#define SKIVE_BUILD_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_builder {
    skive_graph *graph;
    skive_status status; /* the first failure, or SKIVE_OK */
} skive_builder;

/* A builder that adds to this graph. NULL gives one whose status is SKIVE_ERR_ARGUMENT. */
SKIVE_API skive_builder skive_builder_of(skive_graph *graph);

/* An attribute of a node; strings and arrays are copied when the node is made. */
typedef enum skive_attribute_kind {
    SKIVE_ATTRIBUTE_INT,
    SKIVE_ATTRIBUTE_FLOAT,
    SKIVE_ATTRIBUTE_STRING,
    SKIVE_ATTRIBUTE_INTS
} skive_attribute_kind;
typedef struct skive_attribute {
    const char *name;
    skive_attribute_kind kind;
    int64_t i;
    double f;
    const char *s;
    const int64_t *ints; /* [n] */
    size_t n;
} skive_attribute;
SKIVE_API skive_attribute skive_attribute_int(const char *name, int64_t value);
SKIVE_API skive_attribute skive_attribute_float(const char *name, double value);
SKIVE_API skive_attribute skive_attribute_string(const char *name, const char *value);
SKIVE_API skive_attribute skive_attribute_ints(const char *name, const int64_t *values, size_t n);

/* Adds a node and returns its first output. `name` NULL, or one that is taken: a name is made up; the outputs are
 * named after the node. An input may be NULL where the operator allows it to be absent. `outputs` receives all of
 * them and may be NULL. Errors, in builder->status: SHAPE and GRAPH (the node does not fit its inputs; it is not
 * added), ARGUMENT (builder, op, or an array that is counted is NULL), MEMORY. */
SKIVE_API skive_value *skive_build_node(skive_builder *builder, const char *op, const char *name,
                                        skive_value *const *inputs, size_t n_inputs, const skive_attribute *attributes,
                                        size_t n_attributes, skive_value **outputs, size_t n_outputs);
/* Adds a parameter with a copy of the tensor's data. Errors: GRAPH (the name is taken), ARGUMENT, MEMORY. */
SKIVE_API skive_value *skive_build_parameter(skive_builder *builder, const char *name, const skive_tensor *tensor,
                                             bool trainable);
/* A constant of rank 0, float32. */
SKIVE_API skive_value *skive_build_number(skive_builder *builder, double value);
/* A constant [n] of int64: axes, shapes, indices. */
SKIVE_API skive_value *skive_build_ints(skive_builder *builder, const int64_t *values, size_t n);

#ifdef __cplusplus
}
#endif
#endif
