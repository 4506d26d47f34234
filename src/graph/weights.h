/* What the parameters of a graph are: weights, biases, scales, tables, statistics, constants. The op records say it of
 * each input (skv_input_spec); here it is followed through the graph. Every method that asks "what is a weight" asks
 * here. */
#ifndef SKV_WEIGHTS_H
#define SKV_WEIGHTS_H

#include "graph/graph.h"
#include "graph/op.h"

/* What the op record says of input `i`; NULL: nothing, or the input is absent. */
const skv_input_spec *skv_input_spec_of(const skive_node *n, size_t i);
/* The role of input `i` of a node by its record alone; for inputs that may be swapped, by which of them comes from
 * parameters only. */
skv_role skv_input_role(const skive_node *n, size_t i);

/* The role of each value of `g`, by id: the strongest of its uses, subgraphs included. A parameter that is transposed,
 * sliced or combined with other parameters has the role of the result. What is added or multiplied is a bias or a scale
 * only where it has one number a channel of the product or normalisation that it follows. *out is freed by skv_free. */
skive_status skv_graph_roles(skive_context *ctx, const skive_graph *g, skv_role **out);
const char *skv_role_name(skv_role role);
static inline bool skv_role_is_learned(skv_role r) { return r >= SKV_ROLE_SHIFT; }
/* Weight decay is for what multiplies activations many times over, not for what shifts or scales channels. */
static inline bool skv_role_decays(skv_role r) { return r >= SKV_ROLE_TABLE; }

/* A run in training form replaces it (running mean and variance): it is not a constant, though nothing trains it. */
bool skv_value_is_state(const skive_value *v);

/* How a weight reads as a matrix. Axes are those of the parameter; -1: it has no such axis. */
typedef struct skv_weight_view {
    int out_axis, in_axis;
    int64_t out, in;    /* sizes of these axes; 1 without */
    int64_t taps;       /* positions of a convolution's window: the product of the other axes */
    int64_t groups;     /* of a grouped convolution */
    int64_t blocks;     /* equal parts along out_axis: the gates of a recurrent cell, in the order of ONNX */
    int64_t directions; /* of a recurrent layer: size of axis 0; otherwise 1 */
    int data;           /* the input of the node that the weight multiplies; -1: none */
    int data_axis;      /* the axis of that input that is summed over; -1: its rank is not known */
    int result_axis;    /* the axis of the node's output 0 that has the output channels; -1: its rank is not known */
    bool windows;       /* the rows that it multiplies are windows of the data */
} skv_weight_view;

typedef struct skv_weight {
    skive_value *value; /* a parameter, or a shared weight (graph/shared.h) */
    skive_node *node;   /* that reads it, the first one in the order of the nodes */
    int input;
    skv_role role; /* SKV_ROLE_WEIGHT or SKV_ROLE_TABLE */
    skv_weight_view view;
    skive_value *bias;    /* added to the same output channels, by the node or by an Add behind it; NULL: none */
    const char *channels; /* what the output channels are called: "filters" */
} skv_weight;

/* Every weight and table of `g` and of the bodies of its If, Loop and Scan that a node reads directly, each once, in
 * the order of the nodes; a weight of the graph that only a body reads has that body's node. Computed values are listed
 * only when they are shared weights. *out is freed by skv_free. */
skive_status skv_weights(skive_context *ctx, const skive_graph *g, skv_weight **out, size_t *n);
/* Does a body read it, or own it? Methods that follow data through the graph do not see it there. */
static inline bool skv_weight_in_body(const skv_weight *w) { return w->node->graph->parent != NULL; }
#define SKV_IN_A_BODY "it is in the body of an If, Loop or Scan, "
/* The value itself where a subgraph reads one of a graph around it; NULL: of NULL. */
static inline skive_value *skv_value_source(skive_value *v) {
    while (v && v->outer) v = v->outer;
    return v;
}
/* The node's name; of one in a body behind the names of those around it: "If_0/then_branch/conv". Freed by skv_free. */
skive_status skv_node_path(skive_context *ctx, const skive_node *n, char **out);
/* The value of this name in the graph, or else in the first body that has one; NULL: there is none. */
skive_value *skv_find_value_anywhere(const skive_graph *g, const char *name);
/* How input `i` of the node reads as a matrix; false where its record names no axes. */
bool skv_weight_view_of(const skive_node *n, size_t i, skv_weight_view *out);

/* Does training change a parameter of this role, unless someone decides otherwise? Its role is learned, and an op with
 * a gradient reads it. */
bool skv_value_is_learned(const skive_value *v, skv_role role);
/* Marks what training may change, in subgraphs too: floating-point parameters whose role is learned, and that an op
 * with a gradient reads. */
skive_status skv_mark_trainable(skive_graph *g);

#endif
