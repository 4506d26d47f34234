/* Hashed layers (HashedNets) and their two forms: HashedGemm, which computes entries as it goes, and standard ONNX, a
 * Gemm whose weight is gathered from the values and their negatives by indices. */
#ifndef SKV_SHARE_HASHED_FORMS_H
#define SKV_SHARE_HASHED_FORMS_H

#include "graph/graph.h"
#include "share/hashed/matrix.h"

/* Why the weights of a layer cannot be hashed; NULL when they can. */
const char *skv_why_not_hashed(const skive_node *n);

/* A hashed layer's virtual matrix [rows][columns] over its weight, which may be stored the other way round. */
typedef struct skv_hash_layer {
    skv_hashed h;
    bool transposed; /* weight [columns][rows] */
} skv_hash_layer;
uint32_t skv_hash_entry(const skv_hash_layer *l, int64_t at); /* of the weight stored at `at` */
/* The codebook [b, -b] that entries index, and the entries of a weight of this type. */
skive_status skv_hash_codebook(skive_context *ctx, const skv_hash_layer *l, const float *buckets, skv_storage **out);
skive_status skv_hash_indices(skive_context *ctx, const skv_hash_layer *l, const skive_type *weight, skv_storage **out);
/* Metadata that say how the entries came about; with NULL they go. */
skive_status skv_hash_tell(skive_graph *g, const char *weight, const skv_hash_layer *l);

/* Do the metadata say of a weight that it is hashed? Whether it still is, skv_graph_to_hashed finds out. */
bool skv_graph_tells_hashed(const skive_graph *g);

/* ---- edits of a copy: what fails leaves it half done ---- */

/* Hashed weights kept as codebook and indices become HashedGemm, which needs no indices; "w" gives "w.buckets". */
skive_status skv_graph_to_hashed(skive_graph *g);
/* And back. */
skive_status skv_graph_from_hashed(skive_graph *g);
/* The values of `hashed`, a copy of `to` in the first form, into the codebooks of `to`. On failure nothing has
 * changed. */
skive_status skv_hashed_assign(skive_graph *to, const skive_graph *hashed);

#endif
