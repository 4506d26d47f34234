/* How the relations between channels are kept while they are collected (couple.c) and grouped (couple_units.c). */
#ifndef SKV_COUPLE_H
#define SKV_COUPLE_H

#include <skive/coupling.h>

#include "graph/internal.h"
#include "graph/op.h"

typedef struct skv_elements { /* of an axis, one an index */
    int64_t first;            /* -1: none made yet */
    int64_t length;
    uint32_t node; /* which visit to a node spoke of it last (skv_couple.visit) */
} skv_elements;

/* Element whole + o * n_inner + i goes when element outer + o or element inner + i does. */
typedef struct skv_product {
    int64_t whole, outer, inner;
    int64_t n_outer, n_inner;
} skv_product;

typedef struct skv_fixed {
    const char *why; /* NULL: it is not */
    const char *by;
} skv_fixed;

typedef struct skv_couple_graph {
    const skive_graph *graph;
    uint32_t first; /* number of its first value */
} skv_couple_graph;

struct skv_couple {
    skive_context *ctx;
    const skive_graph *graph;
    const skive_node *node;
    uint32_t visit, n_visits; /* the present one, from 1; how many there were */
    bool open; /* inputs and outputs of the graph are not fixed, parameters not needed: for tests of nodes */
    /* The graph and its subgraphs. Their values are numbered through; those of the graph itself have their id. */
    skv_couple_graph *graphs;
    uint32_t n_graphs, graphs_capacity;
    const skive_value **values; /* [n_values] by number */
    uint32_t n_values;          /* when the relations were collected */
    skv_elements *slots;        /* [number of a value][SKIVE_MAX_RANK] */
    skv_elements *factors;      /* axes of no value (skv_couple_factor) */
    uint32_t n_factors, factors_capacity;
    skv_product *products;
    uint32_t n_products, products_capacity;
    uint32_t *parent; /* [n] union-find */
    skv_fixed *fixed; /* [n] at a root */
    const char **mix; /* [n] at a root */
    size_t n, capacity;
    skive_status status;
};

struct skive_coupling {
    skive_context *ctx;
    const skive_graph *graph;
    skv_couple work;
    skive_channel_slice *slices; /* of all removable channels, one after another */
    size_t n_slices, slices_capacity;
    size_t *first;    /* [n + 1] */
    int *family;      /* [n] */
    const char **mix; /* [n] */
    size_t n, capacity;
    skv_fixed *fixed; /* [elements] at a root: why it cannot be removed */
    bool *removable;  /* [elements] at a root */
    skive_coupling_layer *layers;
    size_t n_layers;
};

uint32_t skv_couple_find(const skv_couple *c, uint32_t element);
/* The number of a value of the graph or a subgraph; UINT32_MAX: it is of neither. A value of a subgraph that stands for
 * an outer one has that one's. */
uint32_t skv_couple_number(const skv_couple *c, const skive_value *v);
static inline skv_elements *skv_couple_slot(const skv_couple *c, uint32_t number, int axis) {
    return &c->slots[(size_t)number * SKIVE_MAX_RANK + (size_t)axis];
}
/* As skive_coupling_create; `open`: inputs and outputs of the graph may lose channels, and such without parameters are
 * listed. */
skive_status skv_coupling_create(const skive_graph *g, bool open, skive_coupling **out);
/* As skive_graph_remove_channels, but `g`, of which the coupling is, stays as it is; *out is freed by the caller. */
skive_status skv_graph_without_channels(const skive_graph *g, const skive_coupling *k, const size_t *channels, size_t n,
                                        skive_graph **out);
/* The removable channels of k->work. */
skive_status skv_couple_units(skive_coupling *k);

#endif
