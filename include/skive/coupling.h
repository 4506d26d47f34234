/* Channel coupling, and removing channels.
 *
 * A channel of a network is a set of slices (value, axis, index), of parameters and of what is computed from them, that
 * can only be removed together: a filter with its bias, its normalisation, and the input channel of the layers behind;
 * a hidden unit of an LSTM with its rows in all gates; an attention head in queries, keys, values and output. Which
 * slices belong together comes from the records of the operators. An axis that a Reshape or a grouped layer reads as
 * outer x inner indices (heads x width, groups x channels of a group) has channels of both kinds, which share slices:
 * removing a head and removing an element of the width of all heads both remove the slice at which they meet.
 *
 * A slice of an input or output of the model, of an axis that an operator needs as it is, and of an operator without
 * such a record cannot be removed; the reason can be asked. */
#ifndef SKIVE_COUPLING_H
#define SKIVE_COUPLING_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_coupling skive_coupling;
typedef struct skive_channel_slice {
    const skive_value *value;
    int axis;
    int64_t index;
} skive_channel_slice;

/* The coupling of `graph`, whose types must have been inferred. It borrows the graph, and is of no use once the graph
 * has changed. Errors: LIMIT, MEMORY. */
SKIVE_API skive_status skive_coupling_create(const skive_graph *graph, skive_coupling **out);
SKIVE_API void skive_coupling_free(skive_coupling *coupling);

/* Number of removable channels. */
SKIVE_API size_t skive_coupling_count(const skive_coupling *coupling);
/* The slices of removable channel `index`, borrowed, in order of value, axis and index; `family` is the number of the
 * set of channels with the same pattern (all filters of one layer have the same family, its groups another). */
SKIVE_API void skive_coupling_get(const skive_coupling *coupling, size_t index, const skive_channel_slice **slices,
                                  size_t *n_slices, int *family);
/* Removing a channel gives what the network gives when the channel is zero everywhere, with one exception: an operator
 * that takes a statistic over the channels (LayerNormalization, GroupNormalization, Softmax, ReduceMean) then takes it
 * over those that are left. This is a text that names such an operator among those that read channel `index`; NULL if
 * there is none. */
SKIVE_API const char *skive_coupling_mixes(const skive_coupling *coupling, size_t index);

/* The reason why channel `index` of `axis` of `value` cannot be removed; NULL if it can. Borrowed. */
SKIVE_API const char *skive_coupling_why_fixed(const skive_coupling *coupling, const skive_value *value, int axis,
                                               int64_t index);
/* The name of the node, input or output that is the reason; NULL if it can be removed or there is no single one. */
SKIVE_API const char *skive_coupling_fixed_by(const skive_coupling *coupling, const skive_value *value, int axis,
                                              int64_t index);

/* What can be removed of one layer: of the output channels of one weight or table. */
typedef struct skive_coupling_layer {
    const skive_value *value; /* the weight */
    int axis;                 /* of its output channels */
    const char *channels;     /* what they are called: "filters", "hidden units" */
    int64_t count, removable; /* how many there are, and how many of them can be removed; the blocks of a recurrent
                                 layer (gates) count as often as they are there */
    const char *why, *by;     /* if some cannot: the reason for the first of them, as above; NULL otherwise */
} skive_coupling_layer;
/* The layers of the graph, in the order of its nodes; weights without an axis of output channels are left out. */
SKIVE_API size_t skive_coupling_layer_count(const skive_coupling *coupling);
/* False, and *out is left alone, if there is no such layer. */
SKIVE_API bool skive_coupling_layer_get(const skive_coupling *coupling, size_t index, skive_coupling_layer *out);

/* Gives every reader its own copy of a vector of constants that several nodes read (zero points and scales of a
 * quantized model: exporters store equal ones once, and layers that share one could only lose channels together). What
 * is trained stays shared. Numbers and names of other values stay. It succeeds or leaves the graph unchanged. Errors:
 * MEMORY. */
SKIVE_API skive_status skive_graph_untie_constants(skive_graph *graph);

/* Removes these channels (numbers below skive_coupling_count, in any order, repeats allowed) from the graph that
 * `coupling` was made of, with all that goes with them: slices of weights, biases, scales and statistics, the constants
 * and attributes of nodes that name sizes (shapes, splits, groups, heads, hidden units). Names, metadata and what is
 * trainable stay. All types are inferred again and compared with those expected. It succeeds or leaves the graph
 * unchanged; afterwards `coupling`, and pointers to nodes and values of the graph, are invalid.
 * Errors: ARGUMENT (no such channel, another or a changed graph, or nothing would remain of an axis: the message names
 * it), UNSUPPORTED (an operator cannot follow, which is named), SHAPE, MEMORY. */
SKIVE_API skive_status skive_graph_remove_channels(skive_graph *graph, const skive_coupling *coupling,
                                                   const size_t *channels, size_t n);

#ifdef __cplusplus
}
#endif
#endif
