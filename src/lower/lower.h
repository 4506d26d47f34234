/* Lowering: a graph as a list of steps over slots of memory, without any kernel of a machine. The plan of this library
 * and whatever writes a network as code for another machine stand on it.
 *
 * A slot is the memory of a value (in a plan: of a value in one layout). It is needed from the step that writes it to
 * the last that reads it; a step may write its result over an input that nobody reads later. The slots that remain are
 * placed in one arena (lower/memory.h). */
#ifndef SKV_LOWER_H
#define SKV_LOWER_H

#include "graph/graph.h"

#define SKV_NO_SLOT UINT32_MAX

typedef struct skv_lower_slot {
    size_t bytes;
    bool outside; /* not in the arena: a parameter */
    bool input;   /* written before the first step */
    bool pinned;  /* an input or output of the graph: kept to the end, and no result is written over it */
    /* by skv_lower_memory: */
    uint32_t first, last; /* steps between which it is needed */
    uint32_t alias;       /* the slot whose memory it shares, or itself */
    uint32_t read_until;  /* the step before which the last of `reads` comes; 0: none */
    size_t offset;        /* in the arena */
} skv_lower_slot;

typedef struct skv_lower_step {
    const skive_node *node;
    uint32_t *in, *out; /* slots; SKV_NO_SLOT: absent or not read */
    size_t n_in, n_out;
    uint32_t in_place; /* bit i: output 0 may be written over input i */
} skv_lower_step;

typedef struct skv_lower_read { /* a slot that is also read by others, when a step is done */
    uint32_t slot, step;
} skv_lower_read;

typedef struct skv_lowering {
    skv_lower_step *steps;
    size_t n_steps;
    skv_lower_slot *slots;
    size_t n_slots;
    skv_lower_read *reads;
    size_t n_reads;
    size_t bytes; /* of the arena: by skv_lower_memory */
    /* by skv_lower_graph: */
    uint32_t *slot_of; /* [n_values] by value; SKV_NO_SLOT: nothing uses it */
    uint32_t *places;  /* memory of the steps' lists */
} skv_lowering;

/* From steps and slots: lifetimes, results in place, offsets that are multiples of `align`. An input is overwritten if
 * the step allows it, it has as many bytes, is not pinned, and this is the last step that needs it. ERR_LIMIT,
 * ERR_MEMORY. */
skive_status skv_lower_memory(skive_context *ctx, skv_lowering *l, size_t align);

/* Which inputs output 0 of the node may be written over, as bits, for code that computes element after element: those
 * of its type and shape of a pointwise op. */
uint32_t skv_lower_in_place(const skive_node *n);

/* The graph in topological order, values plain and dense: one step a node; a node that only reshapes a value that is
 * not an input, parameter or output of the graph has none, its output shares the slot. Memory is laid out. The graph's
 * types must be known: ERR_SHAPE naming the value; ERR_UNSUPPORTED naming a node that skive does not know or that has
 * subgraphs. `out` refers to the graph and is freed by skv_lowering_free. */
skive_status skv_lower_graph(skive_context *ctx, const skive_graph *g, size_t align, skv_lowering *out);
void skv_lowering_free(skive_context *ctx, skv_lowering *l);

#endif
