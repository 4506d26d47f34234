/* The base grid of AffineGrid. See common_affine_grid.h. */
#include "ops/image/common_affine_grid.h"

skive_status skv_affine_grid_make(skive_context *ctx, const skive_node *node, const int64_t *size, int count,
                                  skv_affine_grid *out) {
    skv_affine_grid g = {.spatial = count - 2, .positions = 1};
    if (count < 4 || count > 5)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: size has %d numbers, expected 4 or 5", node->op_type,
                           count);
    for (int i = 0; i < count; i++)
        if (size[i] < 0 || size[i] > INT32_MAX)
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: the size %lld is not valid", node->op_type,
                               (long long)size[i]);
    g.n = size[0];
    for (int d = 0; d < g.spatial; d++) {
        g.dims[d] = size[2 + d];
        if (!skv_mul_i64(g.positions, g.dims[d], &g.positions))
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: too many positions", node->op_type);
    }
    int64_t numbers;
    if (!skv_mul_i64(g.n, g.positions, &numbers) || !skv_mul_i64(numbers, g.spatial + 1, &numbers))
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: too many positions", node->op_type);
    g.align_corners = skv_attr_int(node, "align_corners", 0) != 0;
    *out = g;
    return SKIVE_OK;
}

void skv_affine_grid_point(const skv_affine_grid *g, int64_t p, double point[4]) {
    for (int d = g->spatial - 1; d >= 0; d--) {
        const double at = (double)(p % g->dims[d]), n = (double)g->dims[d];
        p /= g->dims[d];
        /* a single position is at -1 if corners are aligned, in the middle otherwise */
        const double step = g->align_corners ? (n > 1.0 ? 2.0 / (n - 1.0) : 0.0) : 2.0 / n;
        point[g->spatial - 1 - d] = -1.0 + step * (g->align_corners ? at : at + 0.5);
    }
    point[g->spatial] = 1.0;
}

skive_status skv_affine_grid_want_theta(skv_infer *c, size_t i, const skv_affine_grid *g) {
    SKV_TRY(skv_want_rank(c, i, 3, 3));
    const int64_t want[3] = {g->n, g->spatial, g->spatial + 1};
    for (int d = 0; d < 3; d++)
        if (skv_in_dim(c, i, d) >= 0 && skv_in_dim(c, i, d) != want[d])
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: dimension %d of theta is %lld, expected %lld",
                                  c->node->op_type, d, (long long)skv_in_dim(c, i, d), (long long)want[d]);
    return SKIVE_OK;
}
