/* Replacements of operators of com.microsoft by standard nodes: what the files of them share. */
#ifndef SKV_ONNX_CONTRIB_H
#define SKV_ONNX_CONTRIB_H

#include "graph/op.h"

typedef struct skv_contrib {
    skv_builder b;
    const skive_node *n;
    skive_value *out[SKV_OP_MAX_IO]; /* the replacements of the node's outputs; all NULL: the node is kept */
} skv_contrib;

/* contrib_blocks.c: weights of 2, 4 and 8 bits with a scale for each block */
void skv_contrib_mat_mul_nbits(skv_contrib *r);
void skv_contrib_gather_block_quantized(skv_contrib *r);

/* The node's outputs get the values in r->out; the node is removed. */
skive_status skv_contrib_replace(skv_contrib *r, skive_node *n);

#endif
