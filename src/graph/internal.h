/* What the files of this room share and nobody else needs. */
#ifndef SKV_GRAPH_INTERNAL_H
#define SKV_GRAPH_INTERNAL_H

#include "graph/graph.h"

/* Room for one more element in a growing array. */
skive_status skv_reserve(skive_context *ctx, void *array, uint32_t count, uint32_t *capacity, size_t size);

/* ---- names of values, and of nodes: an open-addressing hash ---- */
/* `name_at`: the offset of `const char *name` in an item. */
skive_status skv_names_create(skive_context *ctx, size_t name_at, void **out);
void skv_names_free(skive_context *ctx, void *index);
/* Room for one more name, so that the insertion after it cannot fail. */
skive_status skv_names_reserve(skive_context *ctx, void *index);
void skv_names_insert(void *index, void *item);
void skv_names_remove(void *index, const void *item);
void *skv_names_find(const void *index, const char *name);

/* ---- uses ---- */
skive_status skv_use_reserve(skive_value *v, uint32_t more);
void skv_use_add(skive_value *v, skive_node *n, int index); /* room was reserved */
void skv_use_remove(skive_value *v, const skive_node *n, int index);

/* Copies everything of attribute `from` for a node of graph g. map[id] is the copy of the value of that number in the
 * graph the attribute comes from: what subgraphs capture. */
skive_status skv_attr_copy(skive_graph *g, const skv_attr *from, skive_value *const *map, skv_attr *to);
void skv_attr_release(skv_attr *a);

/* A copy under a parent; outer_map as `map` above. With parent NULL the captured values are left without a source. */
skive_status skv_graph_copy_under(skive_context *ctx, const skive_graph *g, skive_graph *parent,
                                  skive_value *const *outer_map, skive_graph **out);
skive_status skv_graph_copy_node(skive_graph *g, const skive_node *from, const char *name, skive_value *const *map);
skive_status skv_graph_copy_value(skive_graph *g, const skive_value *from, const char *name, skive_value **out);

/* ---- inference, a node at a time ---- */
typedef struct skv_inference {
    skive_context *ctx;
    skive_graph *graph;
    skive_type *types;   /* by value id */
    skive_tensor *known; /* by value id; data NULL: not known */
    uint32_t n, capacity;
} skv_inference;
/* Takes in the graph's values that it does not have yet, with the types they have. */
skive_status skv_inference_grow(skv_inference *x);
skive_status skv_inference_node(skv_inference *x, const skive_node *n);
/* The contents of a parameter, or of a small integer tensor that was worked out; NULL: not known. */
const skive_tensor *skv_inference_known(const skv_inference *x, const skive_value *v);
void skv_inference_commit(const skv_inference *x); /* the graph's values get the types */
void skv_inference_free(skv_inference *x);

#endif
