/* Binding the batch: a graph that takes as many samples a run as asked for, whether its file left that number open or fixed it. */
#ifndef SKV_BATCH_H
#define SKV_BATCH_H

#include "graph/graph.h"

/* The first dimension of the first input when the model fixes it, otherwise -1. */
int64_t skv_graph_fixed_batch(const skive_graph *g);

/* A copy of `g` whose inputs take `batch` samples; parameters keep their names and share their storages. An open first dimension is
 * bound. A fixed one is rebound: constants that hold it (shapes of Reshape, Expand and Resize, ends of Slice, initial states of
 * recurrent nodes, rows that Concat joins to each sample) are changed to fit. The change is proved on the shapes of all values, first at a
 * batch no other dimension is likely to have and then at the one wanted: each value that depends on the samples must have exactly
 * one axis that grows with their number.
 *
 * Errors: SHAPE, naming the node that mixes or picks samples, or holds a constant for each of them. */
skive_status skv_graph_bind_batch(skive_context *ctx, const skive_graph *g, int64_t batch, skive_graph **out);

/* ---- between batch.c and batch_ops.c ---- */

struct skv_inference;

typedef struct skv_choice {
    uint8_t taken, n;
} skv_choice;

typedef struct skv_rebind {
    skive_graph *g;
    struct skv_inference *x; /* types at the new batch */
    int64_t was, batch;
    uint32_t n_old;
    const skive_type *old; /* [n_old] by value id: types at the old batch */
    int *axis;             /* [capacity] by value id: the axis of the samples; -1: none */
    int64_t *outer;        /* of that axis: how many runs over the samples it holds, 1 where it is theirs alone */
    uint32_t capacity;
    /* Where a shape could be read in several ways, the one taken; a search tries the others. */
    skv_choice *choices;
    size_t n_choices, at, choices_capacity;
} skv_rebind;

/* Changes what of the node's constants holds the batch, before its types are inferred. May add nodes and parameters, which are inferred
 * at once. *outer_out is set where the node moves the samples' axis in a way that only it knows. */
skive_status skv_rebind_node(skv_rebind *r, skive_node *n, int64_t *outer_out);
/* Room for, and types of, values added to the graph. */
skive_status skv_rebind_grow(skv_rebind *r);

#endif
