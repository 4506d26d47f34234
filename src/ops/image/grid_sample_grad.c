/* GridSampleGrad(dY, X, grid) {as GridSample} -> dX, dgrid: dX collects dY by the weights with which X was read; the
 * gradient of a coordinate is the sum over all channels of dY times what was read, weighted by the slopes of the
 * weights. */
#include "ops/common_shape.h"
#include "ops/image/common_grid_sample.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_GRID_SAMPLE, SKV_FORWARD_IN(1, 2), 0));
    skv_out_like(c, 0, 1);
    if (c->n_out > 1) skv_out_like(c, 1, 2);
    return SKIVE_OK;
}

typedef struct job {
    const skive_node *node;
    const int64_t *sizes; /* of the plane */
    int spatial;
    int64_t channels, plane, positions;
} job;

/* One position: its channels of dY stand `positions` apart, those of X and dX `plane`. */
static void collect(const job *j, const double *dy, const double *x, const double *g, double *dx, double *dg) {
    const skv_grid_mode how = skv_grid_mode_of(j->node);
    const skv_grid_padding pad = skv_grid_padding_of(j->node);
    const bool corners = skv_attr_int(j->node, "align_corners", 0) != 0;
    skv_grid_taps t[SKV_GRID_SPATIAL] = {{.n = 0}};
    int k[SKV_GRID_SPATIAL] = {0};
    for (int d = 0; d < j->spatial; d++) t[d] = skv_grid_taps_of(g[j->spatial - 1 - d], j->sizes[d], how, pad, corners);
    do {
        const skv_grid_corner corner = skv_grid_corner_at(k, j->sizes, t, j->spatial);
        double read = 0;
        if (corner.at < 0) continue;
        for (int64_t c = 0; c < j->channels; c++) {
            dx[c * j->plane + corner.at] += corner.weight * dy[c * j->positions];
            read += x[c * j->plane + corner.at] * dy[c * j->positions];
        }
        for (int d = 0; dg && d < j->spatial; d++) dg[j->spatial - 1 - d] += corner.slope[d] * read;
    } while (skv_grid_next(k, t, j->spatial));
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *in = c->in[1];
    const int spatial = in->rank - 2;
    job j = {.node = c->node,
             .sizes = in->dims + 2,
             .spatial = spatial,
             .channels = in->dims[1],
             .plane = 1,
             .positions = 1};
    skv_doubles dy = {0}, x = {0}, grid = {0};
    skv_result dx = {0}, dgrid = {0};
    skive_status status;
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[2], &grid));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    if (c->n_out > 1 && c->out[1]) SKV_GO(status, out, skv_result_open(c->ctx, c->out[1], &dgrid));
    for (int d = 0; d < spatial; d++) {
        j.plane *= in->dims[2 + d];
        j.positions *= c->in[0]->dims[2 + d];
    }
    for (int64_t i = 0; i < in->dims[0] * j.positions; i++) {
        const int64_t b = i / j.positions, p = i % j.positions;
        collect(&j, dy.p + b * j.channels * j.positions + p, x.p + b * j.channels * j.plane, grid.p + i * spatial,
                dx.p + b * j.channels * j.plane, dgrid.p ? dgrid.p + i * spatial : NULL);
    }
    skv_result_store(&dx);
    if (dgrid.p) skv_result_store(&dgrid);
out:
    skv_doubles_free(c->ctx, &dy);
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &grid);
    skv_result_free(c->ctx, &dx);
    skv_result_free(c->ctx, &dgrid);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "the centre of four elements",
     CASE_IN({CASE_F32(1, 1, 1, 1), CASE_VALUES(4)}, {CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)},
             {CASE_F32(1, 1, 1, 2), CASE_VALUES(0, 0)}),
     .n_out = 2,
     CASE_EXPECT(1, 1, 1, 1)},
};

const skv_op skv_op_grid_sample_grad = {
    .name = "GridSampleGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of GridSample",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 2,
    .attrs = skv_grid_sample_attrs,
    .n_attrs = 3,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
