/* MaxRoiPool: regions of a feature map reduced to a fixed size, each cell the largest of the elements it covers
 * (Girshick, 2015). A region is [sample, x1, y1, x2, y2], both corners included, rounded to whole elements after
 * scaling; an empty cell gives 0. */
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"pooled_shape", SKV_ATTR_INTS, SKV_REQUIRED},
                                      {"spatial_scale", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0], *rois = c->in[1];
    size_t n = 0;
    const int64_t *shape = skv_attr_ints(c->node, "pooled_shape", &n);
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    SKV_TRY(skv_want_rank(c, 0, 4, 4));
    SKV_TRY(skv_want_rank(c, 1, 2, 2));
    if (n != 2 || shape[0] < 1 || shape[1] < 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "MaxRoiPool: pooled_shape must be two positive sizes");
    if (skv_in_dim(c, 1, 1) >= 0 && skv_in_dim(c, 1, 1) != 5)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "MaxRoiPool: a region has %lld numbers, expected 5",
                              (long long)skv_in_dim(c, 1, 1));
    c->out[0] =
        (skive_type){.dtype = x->dtype,
                     .rank = 4,
                     .dims = {rois->rank == 2 ? rois->dims[0] : skv_dim_unknown(),
                              x->rank == 4 ? x->dims[1] : skv_dim_unknown(), skv_dim(shape[0]), skv_dim(shape[1])}};
    return skv_infer_limit(c, &c->out[0]);
}

/* Elements [lo, hi) of cell k of `cells` along one axis of `size` elements, for a region from `first` of `extent`. */
static void cell_range(int64_t k, int64_t cells, double first, double extent, int64_t size, int64_t *lo, int64_t *hi) {
    const double step = extent / (double)cells;
    *lo = (int64_t)fmin(fmax(floor((double)k * step) + first, 0.0), (double)size);
    *hi = (int64_t)fmin(fmax(ceil((double)(k + 1) * step) + first, 0.0), (double)size);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *in = c->in[0], *out = c->out[0];
    const double scale = skv_attr_float(c->node, "spatial_scale", 1.0);
    const int64_t channels = in->dims[1], height = in->dims[2], width = in->dims[3];
    const int64_t rows = out->dims[2], columns = out->dims[3];
    skv_doubles x = {0}, rois = {0};
    skv_result y = {0};
    skive_status status;
    SKV_GO(status, done, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[1], &rois));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &y));
    for (int64_t n = 0; n < out->dims[0]; n++) {
        const double *roi = rois.p + 5 * n;
        if (!(roi[0] >= 0.0 && roi[0] < (double)in->dims[0]) || isnan(roi[1] + roi[2] + roi[3] + roi[4])) {
            status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                                 "MaxRoiPool: region %lld refers to sample %g of %lld", (long long)n, roi[0],
                                 (long long)in->dims[0]);
            goto done;
        }
        const double left = round(roi[1] * scale), top = round(roi[2] * scale);
        const double across = fmax(round(roi[3] * scale) - left + 1.0, 1.0);
        const double down = fmax(round(roi[4] * scale) - top + 1.0, 1.0);
        for (int64_t i = 0; i < channels * rows * columns; i++) {
            const double *plane = x.p + ((int64_t)roi[0] * channels + i / (rows * columns)) * height * width;
            int64_t y0, y1, x0, x1;
            cell_range(i / columns % rows, rows, top, down, height, &y0, &y1);
            cell_range(i % columns, columns, left, across, width, &x0, &x1);
            double most = y1 > y0 && x1 > x0 ? -INFINITY : 0.0;
            for (int64_t h = y0; h < y1; h++)
                for (int64_t w = x0; w < x1; w++) most = fmax(most, plane[h * width + w]);
            y.p[n * channels * rows * columns + i] = most;
        }
    }
    skv_result_store(&y);
done:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &rois);
    skv_result_free(c->ctx, &y);
    return status;
}

static void couple(skv_couple *c) {
    skv_couple_same(c, SKV_CIN(0, 1), SKV_COUT(0, 1));
    for (int d = 0; d < 4; d++) {
        if (d == 1) continue;
        skv_couple_fix(c, SKV_CIN(0, d), "regions are taken from this axis");
        skv_couple_fix(c, SKV_COUT(0, d), "regions are taken from this axis");
    }
    for (int d = 0; d < 2; d++) skv_couple_fix(c, SKV_CIN(1, d), "regions are given by position");
}

static const skv_op_case cases[] = {
    {.name = "two regions", /* columns 0..3 and rows 0..1, then 1..2 of one row, of which nothing lies beyond */
     CASE_ATTRS(CASE_INTS("pooled_shape", 1, 2), CASE_FLT("spatial_scale", 0.5)),
     CASE_IN({CASE_F32(1, 1, 2, 4), CASE_VALUES(1, 2, 3, 4, 8, 7, 6, 5)},
             {CASE_F32(2, 5), CASE_VALUES(0, 0, 0, 6, 2, 0, 2, 0, 4, 0)}),
     .n_out = 1,
     CASE_EXPECT(8, 6, 2, 3),
     CASE_OUT(2, 1, 1, 2)},
    {.name = "channels",
     CASE_ATTRS(CASE_INTS("pooled_shape", 1, 2)),
     CASE_IN({CASE_F32(1, 3, 2, 4)}, {CASE_F32(1, 5), CASE_VALUES(0, 0, 0, 3, 1), .constant = true}),
     .n_out = 1,
     CASE_OUT(1, 3, 1, 2)},
    {.name = "outside",
     CASE_ATTRS(CASE_INTS("pooled_shape", 1, 1)),
     CASE_IN({CASE_F32(1, 1, 1, 1), CASE_VALUES(-3)}, {CASE_F32(1, 5), CASE_VALUES(0, 5, 5, 9, 9)}),
     .n_out = 1,
     CASE_EXPECT(0)},
};

const skv_op skv_op_max_roi_pool = {
    .name = "MaxRoiPool",
    .domain = "",
    .brief = "largest element of each cell of regions",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
