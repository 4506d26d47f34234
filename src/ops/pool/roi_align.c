/* RoiAlign: regions of a feature map resampled to a fixed size, each cell the mean (or the largest weighted corner) of
 * linearly interpolated points (He et al., 2017). */
#include <string.h>

#include "ops/common_elementwise.h"
#include "ops/common_nn.h"
#include "ops/pool/common_roi_align.h"

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

static double cell(const double *plane, const skv_roi *r, int64_t row, int64_t column, int64_t height, int64_t width,
                   bool largest) {
    double sum = 0, most = -INFINITY;
    for (int64_t i = 0; i < r->points_y * r->points_x; i++) {
        const skv_roi_corners k = skv_roi_point(r, row, column, i, height, width);
        for (int q = 0; q < 4; q++) {
            const double v = k.weight[q] * plane[k.at[q]];
            sum += v;
            most = fmax(most, v);
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
        const skv_roi r = skv_roi_of(c->node, rois.p + 4 * n, rows, columns);
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

/* That of the map. Regions come from boxes that were chosen, and have no gradient (as elsewhere). */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (c->need[1])
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "node '%s': RoiAlign has no gradient with respect to its regions", n->name);
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "RoiAlignGrad", SKV_IN(c->dout[0], n->inputs[0], n->inputs[1], n->inputs[2]),
                             skv_attrs_copy(n, buffer));
    return c->b->status;
}

static void couple(skv_couple *c) { skv_couple_same(c, SKV_CIN(0, 1), SKV_COUT(0, 1)); }

static const skv_op_case cases[] = {
    {.name = "two regions, several points",
     CASE_ATTRS(CASE_INT("output_width", 2), CASE_INT("output_height", 2), CASE_INT("sampling_ratio", 2)),
     CASE_IN({CASE_F32(2, 2, 4, 5)},
             {CASE_F32(2, 4), CASE_VALUES(0.3, 0.2, 3.1, 2.7, 1.2, 0.4, 4.6, 3.3), .constant = true},
             {CASE_I64(2), CASE_VALUES(1, 0), .constant = true}),
     .n_out = 1,
     CASE_OUT(2, 2, 2, 2)},
    {.name = "the largest corner",
     CASE_ATTRS(CASE_INT("output_width", 2), CASE_STR("mode", "max"), CASE_INT("sampling_ratio", 2)),
     CASE_IN({CASE_F32(1, 2, 4, 5)}, {CASE_F32(1, 4), CASE_VALUES(0.3, 0.2, 3.1, 2.7), .constant = true},
             {CASE_I64(1), CASE_VALUES(0), .constant = true}),
     .n_out = 1,
     CASE_OUT(1, 2, 1, 2)},
    {.name = "channels",
     CASE_ATTRS(CASE_INT("output_width", 2)),
     CASE_IN({CASE_F32(1, 3, 2, 2)}, {CASE_F32(1, 4), CASE_VALUES(0, 0, 2, 2), .constant = true},
             {CASE_I64(1), CASE_VALUES(0), .constant = true}),
     .n_out = 1,
     CASE_OUT(1, 3, 1, 2)},
    {.name = "the whole map",
     CASE_ATTRS(CASE_INT("sampling_ratio", 1)),
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)},
             {CASE_F32(1, 4), CASE_VALUES(0, 0, 2, 2), .constant = true},
             {CASE_I64(1), CASE_VALUES(0), .constant = true}),
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
    .attrs = skv_roi_align_attrs,
    .n_attrs = 6,
    .import = import,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
