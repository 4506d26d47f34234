/* What the kernels of convolutions and of matrix products share once the node is read: both run by a sparse or by a coded weight. */
#ifndef SKV_SPARSE_LAYER_H
#define SKV_SPARSE_LAYER_H

#include "kernels/sparse/sparse.h"

typedef struct skv_sparse_layer {
    skv_sparse_shape s;
    skv_sparse_matrix w;
    skv_sparse_tail tail;
    skv_sparse_dense dense; /* the kernel that would run instead */
    skv_layout layout;      /* of what is read, added and written */
    size_t x_input, w_input;
    float factor; /* of the weight */
} skv_sparse_layer;

/* Both compare with the dense kernel and say why they leave the node to it. */
bool skv_sparse_layer_wins(const skv_sparse_layer *l, skv_why *why);
bool skv_sparse_layer_serves_coded(const skv_sparse_layer *l, skv_why *why);

skive_status skv_sparse_layer_prepare(skv_kernel_node *n, const skv_sparse_layer *l);
skive_status skv_sparse_layer_prepare_coded(skv_kernel_node *n, const skv_sparse_layer *l);

#endif
