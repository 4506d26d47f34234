/* Shared by AffineGrid and its gradient: the base grid, positions from -1 to 1 with the innermost axis first, and 1
 * last. */
#ifndef SKV_OPS_COMMON_AFFINE_GRID_H
#define SKV_OPS_COMMON_AFFINE_GRID_H

#include "ops/common_nn.h"
#include "ops/common_shape.h"

typedef struct skv_affine_grid {
    int spatial; /* 2 or 3 */
    bool align_corners;
    int64_t n, positions, dims[3]; /* dims[spatial] are -1 where unknown */
} skv_affine_grid;

/* From the list `size` [n][c][spatial...] of `count` elements. ERR_SHAPE names the node. */
skive_status skv_affine_grid_make(skive_context *ctx, const skive_node *node, const int64_t *size, int count,
                                  skv_affine_grid *out);
/* Coordinates of position p, row-major, and 1: point[spatial + 1]. */
void skv_affine_grid_point(const skv_affine_grid *g, int64_t p, double point[4]);
/* Checks that type i is [n][spatial][spatial + 1], as far as known. */
skive_status skv_affine_grid_want_theta(skv_infer *c, size_t i, const skv_affine_grid *g);

#endif
