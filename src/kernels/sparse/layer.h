/* What the kernels of convolutions and of matrix products share once the node is read: both run by a sparse or by a
 * coded weight. */
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

/* Reads a node of the op; says why it is no such layer. */
typedef bool (*skv_sparse_reader)(const skv_kernel_node *n, skv_sparse_layer *out, skv_why *why);

/* Both compare with the dense kernel and say why they leave the node to it. */
bool skv_sparse_layer_wins(const skv_kernel_node *n, skv_sparse_reader read, skv_why *why);
bool skv_sparse_layer_serves_coded(const skv_kernel_node *n, skv_sparse_reader read, skv_why *why);

skive_status skv_sparse_layer_prepare(skv_kernel_node *n, skv_sparse_reader read);
skive_status skv_sparse_layer_prepare_coded(skv_kernel_node *n, skv_sparse_reader read);

#endif
