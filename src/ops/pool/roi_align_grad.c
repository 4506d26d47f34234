/* RoiAlignGrad(dY, X, regions, samples) {as RoiAlign}: dY of each cell goes to the elements that its points read, by
 * their weights; in mode max to the one that was the largest. */
#include <string.h>

#include "ops/common_elementwise.h"
#include "ops/pool/common_roi_align.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_ROI_ALIGN, SKV_FORWARD_IN(1, 2, 3), 0));
    skv_out_like(c, 0, 1);
    return SKIVE_OK;
}

static void spread(const skv_roi *r, int64_t row, int64_t column, const double *plane, int64_t height, int64_t width,
                   bool largest, double dy, double *dx) {
    const int64_t points = r->points_y * r->points_x;
    double most = -INFINITY, weight = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < points; i++) {
        const skv_roi_corners k = skv_roi_point(r, row, column, i, height, width);
        for (int q = 0; q < 4; q++) {
            const double v = k.weight[q] * plane[k.at[q]];
            if (!largest) dx[k.at[q]] += dy * k.weight[q] / (double)points;
            if (!(v > most)) continue;
            most = v;
            at = k.at[q];
            weight = k.weight[q];
        }
    }
    if (largest) dx[at] += dy * weight;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0], *in = c->in[1];
    const bool largest = strcmp(skv_attr_string(c->node, "mode", "avg"), "max") == 0;
    const int64_t channels = in->dims[1], height = in->dims[2], width = in->dims[3], rows = dy->dims[2],
                  columns = dy->dims[3], cells = channels * rows * columns, n = dy->dims[0];
    skv_doubles from = {0}, x = {0}, rois = {0};
    skv_result dx = {0};
    skive_status status;
    SKV_GO(status, out, skv_doubles_read(c->ctx, dy, &from));
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[2], &rois));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    for (int64_t i = 0; i < n * cells; i++) {
        const int64_t sample = ((const int64_t *)c->in[3]->data)[i / cells], cell = i % cells;
        const skv_roi r = skv_roi_of(c->node, rois.p + i / cells * 4, rows, columns);
        if (sample < 0 || sample >= in->dims[0] || height * width == 0) {
            status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "RoiAlignGrad: a region of no sample");
            goto out;
        }
        const int64_t plane = (sample * channels + cell / (rows * columns)) * height * width;
        spread(&r, cell / columns % rows, cell % columns, x.p + plane, height, width, largest, from.p[i], dx.p + plane);
    }
    skv_result_store(&dx);
out:
    skv_doubles_free(c->ctx, &from);
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &rois);
    skv_result_free(c->ctx, &dx);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "one point in the middle of four elements",
     CASE_ATTRS(CASE_INT("sampling_ratio", 1)),
     CASE_IN({CASE_F32(1, 1, 1, 1), CASE_VALUES(8)}, {CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)},
             {CASE_F32(1, 4), CASE_VALUES(0, 0, 2, 2)}, {CASE_I64(1), CASE_VALUES(0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(2, 2, 2, 2)},
};

const skv_op skv_op_roi_align_grad = {
    .name = "RoiAlignGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of RoiAlign",
    .since = 1,
    .min_in = 4,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    .attrs = skv_roi_align_attrs,
    .n_attrs = 6,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
