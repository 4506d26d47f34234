/* Shared by DepthToSpace and SpaceToDepth: a tensor [n][c][h][w] seen with six axes, which are permuted. */
#ifndef SKV_OPS_COMMON_BLOCK_H
#define SKV_OPS_COMMON_BLOCK_H

#include "ops/common_shape.h"

/* The six axes of the input x, and their order in the output; always 6. */
int skv_depth_to_space_axes(const skive_node *n, const int64_t *x, int64_t dims[6], int order[6]);
int skv_space_to_depth_axes(const skive_node *n, const int64_t *x, int64_t dims[6], int order[6]);
/* y of six axes `order` of x seen as `dims`. */
void skv_block_permute(skive_dtype dtype, const int64_t dims[6], const int order[6], const void *x, void *y);
/* The same as nodes: Reshape, Transpose, Reshape to `to`. */
skive_value *skv_block_emit(skv_builder *b, skive_value *x, const int64_t dims[6], const int64_t order[6],
                            const int64_t to[4]);
/* The block size of the node; ERR_SHAPE if it is below 1 or the input does not have rank 4. */
skive_status skv_block_size(skv_infer *c, int64_t *out);

#endif
