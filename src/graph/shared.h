/* Weights kept as a codebook: Gather(codebook, indices), the indices cast from a small integer type so that a file
 * stays small. Weight sharing makes them; the planner folds them into dense weights; a packer may keep them as they
 * are. */
#ifndef SKV_SHARED_H
#define SKV_SHARED_H

#include "graph/graph.h"

typedef struct skv_shared {
    skive_value *codebook;     /* parameter, float32 [k] */
    skive_value *indices;      /* parameter, uint8, uint16, int32 or int64, of the weight's shape, all in [0, k) */
    skive_node *gather, *cast; /* cast NULL: the indices are int32 or int64 as they stand */
} skv_shared;
/* Is `weight` such a weight? `out` may be NULL. */
bool skv_shared_find(const skive_value *weight, skv_shared *out);
/* The same, told by the codebook or the indices: the first weight that is made from parameter `part`; NULL when none
 * is. */
const skive_value *skv_shared_weight_of(const skive_value *part);
/* Is the node the Cast or Gather of one? */
bool skv_shared_has_node(const skive_node *n);

/* ---- edits of a copy: what fails leaves it half done, to be thrown away ---- */

/* Parameter `weight` becomes Gather(codebook, indices) under its name; `codebook` is a value of the graph. `indices`
 * is taken over, on failure too. The old parameter goes; when it was trainable the codebook is. */
skive_status skv_shared_make(skive_value *weight, skive_value *codebook, skv_storage *indices);
/* The shared weight becomes a dense parameter under its name, trainable as its codebook was; parts nobody else uses
 * go. */
skive_status skv_shared_inflate(skive_value *weight);
skive_status skv_shared_inflate_all(skive_graph *g);

/* Element `i` of indices as skv_shared has them. */
int64_t skv_shared_index(const skive_tensor *indices, int64_t i);

#endif
