/* AffineGridGrad(dY, theta, size) -> dtheta: dtheta[i][j] = sum over the positions of dY[i] * position[j]. Of theta
 * only the shape is read. */
#include "ops/image/common_affine_grid.h"

static const skv_attr_spec attrs[] = {{"align_corners", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_AFFINE_GRID, SKV_FORWARD_IN(1, 2), 0));
    skv_out_like(c, 0, 1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    int64_t size[5];
    int n;
    skv_affine_grid g;
    skv_doubles dy = {0};
    skv_result dtheta = {0};
    skive_status status;
    SKV_TRY(skv_eval_ints(c, 2, "the size", size, 5, &n));
    SKV_TRY(skv_affine_grid_make(c->ctx, c->node, size, n, &g));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dtheta));
    /* The size may have become known only now. */
    if (skive_tensor_count(c->in[0]) != g.n * g.positions * g.spatial ||
        skive_tensor_count(c->out[0]) != g.n * g.spatial * (g.spatial + 1)) {
        status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                             "AffineGridGrad: the gradient does not have the shape of the grid");
        goto out;
    }
    for (int64_t p = 0; p < g.positions; p++) {
        double point[4];
        skv_affine_grid_point(&g, p, point);
        for (int64_t b = 0; b < g.n; b++)
            for (int i = 0; i < g.spatial; i++)
                for (int j = 0; j <= g.spatial; j++)
                    dtheta.p[(b * g.spatial + i) * (g.spatial + 1) + j] +=
                        dy.p[(b * g.positions + p) * g.spatial + i] * point[j];
    }
    skv_result_store(&dtheta);
out:
    skv_doubles_free(c->ctx, &dy);
    skv_result_free(c->ctx, &dtheta);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* positions (-0.5, 0, 1) and (0.5, 0, 1) */
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 10, 3, 20)}, {CASE_F32(1, 2, 3)}, CASE_LIST(4, 1, 1, 1, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 0, 4, 5, 0, 30)},
};

const skv_op skv_op_affine_grid_grad = {
    .name = "AffineGridGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of AffineGrid",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
