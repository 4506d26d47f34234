/* RoiAlign in f32 with the channels last: the corners of a point and their weights are found once for all channels. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/kernel.h"
#include "ops/pool/common_roi_align.h"

enum { PARALLEL_FROM = 1 << 12 };

typedef struct roi_state {
    int64_t samples, channels, height, width, regions, rows, columns;
    bool largest;
    int threads;
} roi_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_kernel_f32(&n->in[0]) || !skv_kernel_f32(&n->in[1]) || !skv_kernel_f32(&n->out[0]))
        return skv_decline(why, "not float32, or empty");
    return true;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    roi_state *st = state;
    const skive_type *x = &n->in[0].type, *y = &n->out[0].type;
    n->in[1].layout = n->in[2].layout = SKV_PLAIN;
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    *st = (roi_state){.samples = x->dims[0].size,
                      .channels = x->dims[1].size,
                      .height = x->dims[2].size,
                      .width = x->dims[3].size,
                      .regions = y->dims[0].size,
                      .rows = y->dims[2].size,
                      .columns = y->dims[3].size,
                      .largest = strcmp(skv_attr_string(n->node, "mode", "avg"), "max") == 0};
    st->threads = skv_type_count(y) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(roi_state), set_up, destroy); }

/* One cell of all channels: the mean of its points, or the largest weighted corner. */
static void cell(const roi_state *st, const float *map, const skv_roi *r, int64_t row, int64_t column, float *y) {
    const int64_t c = st->channels, points = r->points_y * r->points_x;
    for (int64_t i = 0; i < c; i++) y[i] = st->largest ? -INFINITY : 0;
    for (int64_t p = 0; p < points; p++) {
        const skv_roi_corners k = skv_roi_point(r, row, column, p, st->height, st->width);
        for (int q = 0; q < 4; q++) {
            const float weight = (float)k.weight[q], *x = map + k.at[q] * c;
            if (st->largest) {
                for (int64_t i = 0; i < c; i++) y[i] = fmaxf(y[i], weight * x[i]);
            } else if (weight != 0) {
#pragma omp simd
                for (int64_t i = 0; i < c; i++) y[i] += weight * x[i];
            }
        }
    }
    for (int64_t i = 0; !st->largest && i < c; i++) y[i] /= (float)points;
}

static skive_status check_samples(const skv_kernel_call *c, const roi_state *st) {
    const int64_t *sample = c->in[2];
    for (int64_t n = 0; n < st->regions; n++)
        if (sample[n] < 0 || sample[n] >= st->samples)
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->n->node->name,
                               "node '%s': region %lld refers to sample %lld of %lld", c->n->node->name, (long long)n,
                               (long long)sample[n], (long long)st->samples);
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const roi_state *st = c->n->state;
    const int threads = st->threads;
    const int64_t lines = st->regions * st->rows;
    SKV_TRY(check_samples(c, st));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < lines; i++) {
        const int64_t n = i / st->rows;
        const float *given = (const float *)c->in[1] + 4 * n;
        const double corners[4] = {(double)given[0], (double)given[1], (double)given[2], (double)given[3]};
        const skv_roi r = skv_roi_of(c->n->node, corners, st->rows, st->columns);
        const float *map =
            (const float *)c->in[0] + ((const int64_t *)c->in[2])[n] * st->height * st->width * st->channels;
        float *y = (float *)c->out[0] + i * st->columns * st->channels;
        for (int64_t k = 0; k < st->columns; k++) cell(st, map, &r, i % st->rows, k, y + k * st->channels);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_ROI_ALIGN, SKV_OP_NONE};

const skv_kernel skv_kernel_roi_align_f32 = {
    .name = "roi_align_f32",
    .brief = "regions resampled to a fixed size, each point's places and weights found once for all channels",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
