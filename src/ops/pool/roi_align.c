/* RoiAlign: regions of a feature map resampled to a fixed size, each cell the mean (or the largest weighted corner) of
 * linearly interpolated points (He et al., 2017). */
#include <string.h>

#include "ops/common_elementwise.h"
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {{"coordinate_transformation_mode", SKV_ATTR_STRING, SKV_OPTIONAL},
                                      {"mode", SKV_ATTR_STRING, SKV_OPTIONAL},
                                      {"output_height", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"output_width", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"sampling_ratio", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"spatial_scale", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

/* Opset 10 did not shift by half a pixel. */
static skive_status import(skive_graph *g, skive_node *n, int from) {
    (void)g;
    return from < 16 ? skv_node_set_attr(n, &SKV_STR("coordinate_transformation_mode", "output_half_pixel")) : SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *rois = skv_infer_in(c, 1);
    const int64_t height = skv_attr_int(c->node, "output_height", 1), width = skv_attr_int(c->node, "output_width", 1);
    const int64_t ratio = skv_attr_int(c->node, "sampling_ratio", 0);
    const char *mode = skv_attr_string(c->node, "mode", "avg");
    const char *shift = skv_attr_string(c->node, "coordinate_transformation_mode", "half_pixel");
    if (strcmp(shift, "half_pixel") != 0 && strcmp(shift, "output_half_pixel") != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH,
                              "node '%s': coordinate_transformation_mode is \"%s\"; it may be half_pixel or "
                              "output_half_pixel",
                              c->node->name, shift);
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    SKV_TRY(skv_infer_want(c, 2, SKIVE_I64));
    SKV_TRY(skv_want_rank(c, 0, 4, 4));
    SKV_TRY(skv_want_rank(c, 1, 2, 2));
    SKV_TRY(skv_want_vector(c, 2, skv_in_ranked(c, 1) ? skv_in_dim(c, 1, 0) : -1, "the batch indices"));
    if (height < 1 || width < 1 || ratio < 0 || ratio > 1024 ||
        (strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0) ||
        (rois->rank == 2 && rois->dims[1].size >= 0 && rois->dims[1].size != 4))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "node '%s': the shape of the regions is not [n][4], or %lldx%lld cells with %lld points "
                              "in mode '%s' are not supported",
                              c->node->name, (long long)height, (long long)width, (long long)ratio, mode);
    c->out[0] = (skive_type){.dtype = x->dtype,
                             .rank = 4,
                             .dims = {rois->rank == 2 ? rois->dims[0] : skv_dim_unknown(),
                                      x->rank == 4 ? x->dims[1] : skv_dim_unknown(), skv_dim(height), skv_dim(width)}};
    return skv_infer_limit(c, &c->out[0]);
}

/* Four corners of a point and their weights; none outside the map. */
typedef struct corners {
    int64_t at[4];
    double weight[4];
} corners;

static corners corners_of(double y, double x, int64_t height, int64_t width) {
    corners k = {{0}, {0}};
    if (!(y >= -1 && y <= (double)height && x >= -1 && x <= (double)width)) return k;
    y = fmax(y, 0);
    x = fmax(x, 0);
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + 1, x1 = x0 + 1;
    if (y0 >= height - 1) y0 = y1 = height - 1, y = (double)y0;
    if (x0 >= width - 1) x0 = x1 = width - 1, x = (double)x0;
    const double fy = y - (double)y0, fx = x - (double)x0;
    return (corners){{y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1},
                     {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}};
}

typedef struct region {
    double y, x, step_y, step_x; /* start, and size of a cell */
    int64_t points_y, points_x;  /* in a cell, each way */
} region;

static int64_t points_in(double step, int64_t ratio) {
    const double n = ratio > 0 ? (double)ratio : ceil(step);
    return n >= 1 && n <= 1024 ? (int64_t)n : n > 1024 ? 1024 : 1;
}

static region region_of(const skive_node *n, const double *roi, int64_t height, int64_t width) {
    const double scale = skv_attr_float(n, "spatial_scale", 1);
    const bool half = strcmp(skv_attr_string(n, "coordinate_transformation_mode", "half_pixel"), "half_pixel") == 0;
    const double offset = half ? 0.5 : 0;
    const int64_t ratio = skv_attr_int(n, "sampling_ratio", 0);
    double w = roi[2] * scale - roi[0] * scale, h = roi[3] * scale - roi[1] * scale;
    if (!half) w = fmax(w, 1), h = fmax(h, 1);
    region r = {roi[1] * scale - offset, roi[0] * scale - offset, h / (double)height, w / (double)width, 0, 0};
    r.points_y = points_in(r.step_y, ratio);
    r.points_x = points_in(r.step_x, ratio);
    return r;
}

static double cell(const double *plane, const region *r, int64_t row, int64_t column, int64_t height, int64_t width,
                   bool largest) {
    double sum = 0, most = -INFINITY;
    for (int64_t i = 0; i < r->points_y; i++) {
        for (int64_t j = 0; j < r->points_x; j++) {
            const double y = r->y + ((double)row + ((double)i + 0.5) / (double)r->points_y) * r->step_y;
            const double x = r->x + ((double)column + ((double)j + 0.5) / (double)r->points_x) * r->step_x;
            const corners k = corners_of(y, x, height, width);
            for (int q = 0; q < 4; q++) {
                const double v = k.weight[q] * plane[k.at[q]];
                sum += v;
                most = fmax(most, v);
            }
        }
    }
    return largest ? most : sum / (double)(r->points_y * r->points_x);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *in = c->in[0], *y = c->out[0];
    const bool largest = strcmp(skv_attr_string(c->node, "mode", "avg"), "max") == 0;
    const int64_t channels = in->dims[1], height = in->dims[2], width = in->dims[3], rows = y->dims[2],
                  columns = y->dims[3];
    skv_doubles x = {0}, rois = {0};
    skv_result out = {0};
    skive_status status;
    SKV_GO(status, done, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[1], &rois));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &out));
    for (int64_t n = 0; n < y->dims[0]; n++) {
        const int64_t sample = ((const int64_t *)c->in[2]->data)[n];
        const region r = region_of(c->node, rois.p + 4 * n, rows, columns);
        if (sample < 0 || sample >= in->dims[0] || height * width == 0) {
            status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                                 "node '%s': region %lld refers to sample %lld of %lld", c->node->name, (long long)n,
                                 (long long)sample, (long long)in->dims[0]);
            goto done;
        }
        for (int64_t i = 0; i < channels * rows * columns; i++) {
            const double *plane = x.p + (sample * channels + i / (rows * columns)) * height * width;
            out.p[n * channels * rows * columns + i] =
                cell(plane, &r, i / columns % rows, i % columns, height, width, largest);
        }
    }
    skv_result_store(&out);
done:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &rois);
    skv_result_free(c->ctx, &out);
    return status;
}

static void couple(skv_couple *c) { skv_couple_same(c, SKV_CIN(0, 1), SKV_COUT(0, 1)); }

static const skv_op_case cases[] = {
    {.name = "channels",
     CASE_ATTRS(CASE_INT("output_width", 2)),
     CASE_IN({CASE_F32(1, 3, 2, 2)}, {CASE_F32(1, 4), CASE_VALUES(0, 0, 2, 2)}, {CASE_I64(1), CASE_VALUES(0)}),
     .n_out = 1,
     CASE_OUT(1, 3, 1, 2)},
    {.name = "the whole map",
     CASE_ATTRS(CASE_INT("sampling_ratio", 1)),
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(1, 4), CASE_VALUES(0, 0, 2, 2)},
             {CASE_I64(1), CASE_VALUES(0)}),
     .n_out = 1,
     CASE_EXPECT(2.5),
     CASE_OUT(1, 1, 1, 1)},
};

const skv_op skv_op_roi_align = {
    .name = "RoiAlign",
    .domain = "",
    .brief = "regions of a feature map resampled to a fixed size",
    .since = 16,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = import,
    .infer = infer,
    .run = run,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
