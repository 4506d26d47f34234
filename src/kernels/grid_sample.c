/* GridSample in f32: where the elements under a block of positions lie, and their weights, are found once and serve all
 * channels. Several channels stand last, and each element is a line of them. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/kernel.h"
#include "ops/image/common_grid_sample.h"

enum {
    BLOCK = 64,                                              /* positions */
    CORNERS = SKV_GRID_TAPS * SKV_GRID_TAPS * SKV_GRID_TAPS, /* of a position, at most */
    PARALLEL_FROM = 1 << 14,
    SEVERAL = 8, /* channels */
};

typedef struct grid_state {
    skv_grid_mode how;
    skv_grid_padding pad;
    bool align, channels_last;
    int spatial;
    int64_t n, channels, sizes[SKV_GRID_SPATIAL], plane, positions;
    int threads;
} grid_state;

/* The elements of a block: corner k of position p stands at [k][p]; a weight of 0 is not read. */
typedef struct corners {
    int64_t n;
    float weight[CORNERS][BLOCK];
    int32_t at[CORNERS][BLOCK];
} corners;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    if (!skv_kernel_f32(&n->in[0]) || !skv_kernel_f32(&n->in[1]) || !skv_kernel_f32(&n->out[0]))
        return skv_decline(why, "not float32, or empty");
    int64_t plane = 1;
    for (int d = 2; d < x->rank; d++) plane *= x->dims[d].size;
    return plane <= INT32_MAX ? true : skv_decline(why, "planes of more than 2^31 elements");
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    grid_state *st = state;
    const skive_type *x = &n->in[0].type, *y = &n->out[0].type;
    size_t at;
    st->channels_last = x->dims[1].size >= SEVERAL;
    n->in[1].layout = SKV_PLAIN;
    n->in[0].layout = n->out[0].layout = st->channels_last ? SKV_NHWC : SKV_PLAIN;
    st->how = skv_grid_mode_of(n->node);
    st->pad = skv_grid_padding_of(n->node);
    st->align = skv_attr_int(n->node, "align_corners", 0) != 0;
    st->spatial = x->rank - 2;
    st->n = x->dims[0].size;
    st->channels = x->dims[1].size;
    st->plane = st->positions = 1;
    for (int d = 0; d < st->spatial; d++) {
        st->sizes[d] = x->dims[2 + d].size;
        st->plane *= st->sizes[d];
        st->positions *= y->dims[2 + d].size;
    }
    st->threads = skv_type_count(y) < PARALLEL_FROM ? 1 : n->threads;
    return skv_scratch_add(n, (size_t)st->threads * sizeof(corners), &at);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(grid_state), set_up, destroy); }

/* The taps of linear interpolation without reflection, which need neither slopes nor fmod. Further than an element
 * outside nothing changes. */
static void linear_taps(const grid_state *st, double g, int64_t size, skv_grid_taps *t) {
    const double last = (double)size - 1;
    const bool border = st->pad == SKV_GRID_BORDER;
    double x = st->align ? (g + 1) / 2 * last : ((g + 1) * (double)size - 1) / 2;
    if (!(x > (border ? 0 : -2))) x = border ? 0 : -2; /* NaN too */
    if (isinf(g)) x = border ? 0 : -2;
    if (x > (border ? last : last + 2)) x = border ? last : last + 2;
    const int64_t first = (int64_t)(x + 2) - 2; /* floor */
    t->n = 2;
    t->weight[1] = x - (double)first;
    t->weight[0] = 1 - t->weight[1];
    for (int64_t k = 0; k < 2; k++) {
        const int64_t at = border && first + k > size - 1 ? size - 1 : first + k;
        t->entry[k] = at >= 0 && at < size ? at : -1;
    }
}

/* One combination of taps: its element of a plane and its weight, 0 outside. */
static float corner_of(const grid_state *st, const skv_grid_taps *t, const int *k, int32_t *at) {
    int64_t element = 0;
    double weight = 1;
    for (int d = 0; d < st->spatial; d++) {
        const int64_t entry = t[d].entry[k[d]];
        weight = entry < 0 ? 0 : weight * t[d].weight[k[d]];
        element = element * st->sizes[d] + (entry < 0 ? 0 : entry);
    }
    *at = (int32_t)element;
    return (float)weight;
}

/* The corners of `count` positions; those that a position has less than another weigh nothing. */
static void find_corners(const grid_state *st, const float *grid, int64_t count, corners *to) {
    const bool linear = st->how == SKV_GRID_LINEAR && st->pad != SKV_GRID_REFLECTION;
    to->n = 0;
    for (int64_t p = 0; p < count; p++, grid += st->spatial) {
        skv_grid_taps t[SKV_GRID_SPATIAL];
        int k[SKV_GRID_SPATIAL] = {0};
        int64_t i = 0;
        for (int d = 0; d < st->spatial; d++) {
            const double g = (double)grid[st->spatial - 1 - d];
            if (linear)
                linear_taps(st, g, st->sizes[d], &t[d]);
            else
                t[d] = skv_grid_taps_of(g, st->sizes[d], st->how, st->pad, st->align);
        }
        do {
            if (i == to->n) memset(to->weight[to->n++], 0, (size_t)p * sizeof(float));
            to->weight[i][p] = corner_of(st, t, k, &to->at[i][p]);
            i++;
        } while (skv_grid_next(k, t, st->spatial));
        for (; i < to->n; i++) to->weight[i][p] = 0;
    }
}

/* x [element][channel], y [position][channel] */
static void sum_lines(const grid_state *st, const corners *by, const float *x, int64_t count, float *y) {
    const int64_t c = st->channels;
    for (int64_t p = 0; p < count; p++, y += c) {
        memset(y, 0, (size_t)c * sizeof *y);
        for (int64_t k = 0; k < by->n; k++) {
            const float weight = by->weight[k][p], *from = x + by->at[k][p] * c;
            if (weight == 0) continue;
#pragma omp simd
            for (int64_t i = 0; i < c; i++) y[i] += weight * from[i];
        }
    }
}

/* x [element], y [position], of one channel */
static void sum_plane(const corners *by, const float *x, int64_t count, float *y) {
    float sum[BLOCK] = {0};
    for (int64_t k = 0; k < by->n; k++)
        for (int64_t p = 0; p < count; p++)
            if (by->weight[k][p] != 0) sum[p] += by->weight[k][p] * x[by->at[k][p]];
    memcpy(y, sum, (size_t)count * sizeof *y);
}

static void run_block(const grid_state *st, const skv_kernel_call *c, int64_t image, int64_t first, corners *by) {
    const int64_t left = st->positions - first, count = left < BLOCK ? left : BLOCK, channels = st->channels;
    const float *x = (const float *)c->in[0] + image * channels * st->plane;
    float *y = (float *)c->out[0] + image * channels * st->positions;
    find_corners(st, (const float *)c->in[1] + (image * st->positions + first) * st->spatial, count, by);
    if (st->channels_last) {
        sum_lines(st, by, x, count, y + first * channels);
        return;
    }
    for (int64_t i = 0; i < channels; i++) sum_plane(by, x + i * st->plane, count, y + i * st->positions + first);
}

static skive_status run(const skv_kernel_call *c) {
    const grid_state *st = c->n->state;
    const int threads = st->threads;
    const int64_t blocks = (st->positions + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->n * blocks; i++)
        run_block(st, c, i / blocks, i % blocks * BLOCK, (corners *)c->scratch + skv_thread_number());
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_GRID_SAMPLE, SKV_OP_NONE};

const skv_kernel skv_kernel_grid_sample_f32 = {
    .name = "grid_sample_f32",
    .brief = "the input read at the positions of a grid, their places and weights found once for all channels",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
