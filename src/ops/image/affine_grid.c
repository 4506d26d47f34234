/* AffineGrid: positions for GridSample: a regular grid over [-1, 1] under an affine map, one per sample (Jaderberg et
 * al., 2015). */
#include "ops/image/common_affine_grid.h"

static const skv_attr_spec attrs[] = {{"align_corners", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *theta = c->in[0];
    skive_type *y = &c->out[0];
    int64_t size[5];
    int n;
    skv_affine_grid g;
    SKV_TRY(skv_want_float(c, 0));
    y->dtype = theta->dtype;
    SKV_TRY(skv_infer_ints(c, 1, "the size", size, 5, &n));
    if (n < 0) {
        SKV_TRY(skv_want_rank(c, 0, 3, 3));
        const int64_t length = skv_infer_list_length(c, 1);
        if (length < 4 || length > 5) return SKIVE_OK;
        y->rank = (int)length;
        for (int d = 0; d < y->rank; d++) y->dims[d] = skv_dim_unknown();
        y->dims[y->rank - 1] = skv_dim(length - 2);
        return SKIVE_OK;
    }
    SKV_TRY(skv_affine_grid_make(c->ctx, c->node, size, n, &g));
    SKV_TRY(skv_affine_grid_want_theta(c, 0, &g));
    y->rank = n;
    y->dims[0] = skv_dim(g.n);
    for (int d = 0; d < g.spatial; d++) y->dims[1 + d] = skv_dim(g.dims[d]);
    y->dims[n - 1] = skv_dim(g.spatial);
    return skv_infer_limit(c, y);
}

static skive_status run(const skv_eval *c) {
    int64_t size[5];
    int n;
    skv_affine_grid g;
    skv_doubles theta = {0};
    skv_result y = {0};
    skive_status status;
    SKV_TRY(skv_eval_ints(c, 1, "the size", size, 5, &n));
    SKV_TRY(skv_affine_grid_make(c->ctx, c->node, size, n, &g));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &theta));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    for (int64_t p = 0; p < g.positions; p++) {
        double point[4];
        skv_affine_grid_point(&g, p, point);
        for (int64_t b = 0; b < g.n; b++) {
            for (int i = 0; i < g.spatial; i++) {
                const double *row = theta.p + (b * g.spatial + i) * (g.spatial + 1);
                double sum = 0.0;
                for (int j = 0; j <= g.spatial; j++) sum += row[j] * point[j];
                y.p[(b * g.positions + p) * g.spatial + i] = sum;
            }
        }
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &theta);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (c->need[0])
        c->din[0] =
            skv_emit(c->b, "AffineGridGrad", SKV_IN(c->dout[0], n->inputs[0], n->inputs[1]), skv_attrs_copy(n, buffer));
    return c->b->status;
}

static void couple(skv_couple *c) { skv_couple_fix_all(c, "these are coordinates"); }

static const skv_op_case cases[] = {
    {.name = "mirrored and shifted", /* x = -x + 1, y = y */
     CASE_IN({CASE_F32(1, 2, 3), CASE_VALUES(-1, 0, 1, 0, 1, 0)}, CASE_LIST(4, 1, 1, 1, 2)),
     .n_out = 1,
     CASE_EXPECT(1.5, 0, 0.5, 0),
     CASE_OUT(1, 1, 2, 2)},
    {.name = "corners aligned, two samples",
     CASE_ATTRS(CASE_INT("align_corners", 1)),
     CASE_IN({CASE_F32(2, 2, 3)}, CASE_LIST(4, 2, 1, 2, 3)),
     .n_out = 1,
     CASE_OUT(2, 2, 3, 2)},
    {.name = "three axes",
     CASE_IN({CASE_F32(1, 3, 4)}, CASE_LIST(5, 1, 2, 2, 3, 1)),
     .n_out = 1,
     CASE_OUT(1, 2, 3, 1, 3)},
};

const skv_op skv_op_affine_grid = {
    .name = "AffineGrid",
    .domain = "",
    .brief = "positions of a grid under an affine map",
    .since = 20,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
