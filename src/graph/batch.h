/* Binding the batch: a graph that takes as many samples a run as asked for, whether its file left that number open or
 * fixed it. */
#ifndef SKV_BATCH_H
#define SKV_BATCH_H

#include "graph/graph.h"

/* The first dimension of the first input when the model fixes it, otherwise -1. */
int64_t skv_graph_fixed_batch(const skive_graph *g);

/* A copy of `g` whose inputs take `batch` samples; parameters keep their names and share their storages. An open first
 * dimension is bound. A fixed one is rebound: constants that hold it (shapes of Reshape, Expand and Resize, ends of
 * Slice, initial states of recurrent nodes, rows that Concat joins to each sample) are changed to fit. The change is
 * proved on the shapes of all values, first at a batch no other dimension is likely to have and then at the one
 * wanted: each value that depends on the samples must have exactly one axis that grows with their number.
 *
 * Errors: SHAPE, naming the node that mixes or picks samples, or holds a constant for each of them. */
skive_status skv_graph_bind_batch(skive_context *ctx, const skive_graph *g, int64_t batch, skive_graph **out);

#endif
