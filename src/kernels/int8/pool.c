/* Pooling of bytes: the largest of a window, the mean of a window or of the whole plane. Channels lie innermost, so
 * that the loops run along them. */

#include "base/parallel.h"
#include "kernels/channels.h"
#include "kernels/int8/int8.h"

enum { MAX_TAPS = 64 };

typedef struct pool_state {
    const skv_q8_loops *loops;
    skv_geometry g;
    int64_t n, c;
    bool largest;
    skv_requant r;
    size_t item, sum_bytes;
    float multiplier;
    skv_q8_fixed fixed;
    int32_t q31, shift;
    int32_t x_zero;
    int threads;
} pool_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    if (!skv_q8_bytes(n, why)) return false;
    if (x->rank < 3 || x->rank > 5) return skv_decline(why, "rank %d", x->rank);
    if (n->n_out > 1 && !n->out[1].absent) return skv_decline(why, "indices are used");
    if (skv_type_count(x) == 0 || skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "empty");
    return true;
}

static skive_status read_average(skv_kernel_node *n, pool_state *st) {
    skv_q_scaling scaling;
    SKV_TRY(skv_q_zero_point(n->ctx, n->node, "x_zero_point", &st->x_zero));
    SKV_TRY(skv_q_scaling_read(n->ctx, n->node, 1, false, &scaling));
    st->r = scaling.r;
    st->multiplier = (float)scaling.one;
    st->fixed = skv_q8_fixed_of(&scaling);
    if (st->fixed.on) {
        st->q31 = (int32_t)scaling.q31[0];
        st->shift = (int32_t)scaling.shift[0];
    }
    st->item = st->r.output == SKV_Q_F32 ? sizeof(float) : 1;
    st->sum_bytes = skv_align_up((size_t)st->c * sizeof(int32_t), 64);
    n->scratch_bytes = st->sum_bytes * (size_t)n->threads;
    return SKIVE_OK;
}

/* The whole plane as one window. */
static skv_geometry plane_of(int rank, const int64_t *dims) {
    skv_geometry g = {.spatial = rank - 2};
    for (int a = 0; a < SKV_SPATIAL; a++) {
        const int d = rank - SKV_SPATIAL + a;
        g.in[a] = g.kernel[a] = d >= 2 ? dims[d] : 1;
        g.stride[a] = g.dilation[a] = g.out[a] = 1;
    }
    return g;
}

static skive_status prepare(skv_kernel_node *n) {
    pool_state *st = NULL;
    int64_t dims[SKIVE_MAX_RANK] = {0};
    const skive_type *x = &n->in[0].type;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d].size;
    st->loops = skv_q8_loops_of(skv_cpu_isa());
    st->n = dims[0];
    st->c = dims[1];
    st->item = 1;
    st->largest = skv_node_is(n->node, SKV_OP_MAX_POOL);
    if (skv_node_is(n->node, SKV_OP_Q_GLOBAL_AVERAGE_POOL))
        st->g = plane_of(x->rank, dims);
    else
        SKV_TRY(skv_conv_geometry(n->ctx, n->node, x->rank, dims, NULL, &st->g));
    if (!st->largest) SKV_TRY(read_average(n, st));
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    st->threads = skv_type_count(x) < 32768 ? 1 : n->threads;
    return SKIVE_OK;
}

typedef struct window {
    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], origin[SKV_SPATIAL], inside;
} window;

static window window_at(const skv_geometry *g, int64_t od, int64_t oh, int64_t ow) {
    const int64_t o[SKV_SPATIAL] = {od, oh, ow};
    window w = {.inside = 1};
    for (int a = 0; a < SKV_SPATIAL; a++) {
        skv_window_range(g, a, o[a], &w.lo[a], &w.hi[a]);
        w.origin[a] = o[a] * g->stride[a] - g->pad_lo[a];
        w.inside *= w.hi[a] - w.lo[a];
    }
    return w;
}

/* Where the window's elements at kd, kh begin, and one step along the last axis. */
static const uint8_t *line_of(const pool_state *st, const uint8_t *image, const window *w, int64_t kd, int64_t kh) {
    const skv_geometry *g = &st->g;
    const int64_t row = (w->origin[0] + kd * g->dilation[0]) * g->in[1] + w->origin[1] + kh * g->dilation[1];
    return image + (row * g->in[2] + w->origin[2]) * st->c;
}

/* The window's elements, `*n` of them; when they are more than MAX_TAPS, those before the last ones are already taken
 * into y. */
static void largest_of(const pool_state *st, const uint8_t *image, const window *w, const uint8_t **taps, size_t *n,
                       uint8_t *y) {
    const int64_t step = st->g.dilation[2] * st->c;
    *n = 0;
    for (int64_t kd = w->lo[0]; kd < w->hi[0]; kd++) {
        for (int64_t kh = w->lo[1]; kh < w->hi[1]; kh++) {
            const uint8_t *line = line_of(st, image, w, kd, kh);
            for (int64_t kw = w->lo[2]; kw < w->hi[2]; kw++) {
                if (*n == MAX_TAPS) {
                    st->loops->max(taps, *n, y, (size_t)st->c);
                    taps[0] = y;
                    *n = 1;
                }
                taps[(*n)++] = line + kw * step;
            }
        }
    }
    if (*n)
        st->loops->max(taps, *n, y, (size_t)st->c);
    else
        memset(y, 0, (size_t)st->c);
}

static void largest_line(const pool_state *st, const uint8_t *image, int64_t od, int64_t oh, uint8_t *y) {
    const skv_geometry *g = &st->g;
    const int64_t step = g->stride[2] * st->c;
    const uint8_t *taps[MAX_TAPS];
    size_t n = 0;
    bool was_inside = false;
    for (int64_t ow = 0; ow < g->out[2]; ow++, y += st->c) {
        const int64_t first = ow * g->stride[2] - g->pad_lo[2], last = first + (g->kernel[2] - 1) * g->dilation[2];
        const bool inside = first >= 0 && last < g->in[2];
        if (inside && was_inside) { /* the last window a step further */
            for (size_t i = 0; i < n; i++) taps[i] += step;
            st->loops->max(taps, n, y, (size_t)st->c);
            continue;
        }
        const window w = window_at(g, od, oh, ow);
        largest_of(st, image, &w, taps, &n, y);
        was_inside = inside && w.inside > 0 && w.inside <= MAX_TAPS;
    }
}

static void mean_of(const pool_state *st, const uint8_t *image, const window *w, int32_t *sum, void *y) {
    const int64_t step = st->g.dilation[2] * st->c;
    const size_t c = (size_t)st->c;
    /* what lies inside counts without the zero point; see the op's definition */
    for (size_t i = 0; i < c; i++) sum[i] = (int32_t) - (st->x_zero * w->inside);
    for (int64_t kd = w->lo[0]; kd < w->hi[0]; kd++) {
        for (int64_t kh = w->lo[1]; kh < w->hi[1]; kh++) {
            const uint8_t *line = line_of(st, image, w, kd, kh);
            for (int64_t kw = w->lo[2]; kw < w->hi[2]; kw++) st->loops->sum(line + kw * step, sum, c);
        }
    }
    if (st->fixed.on)
        st->loops->fixed(sum, &st->q31, &st->shift, 0, y, c, &st->fixed);
    else
        st->loops->requant(sum, &st->multiplier, 0, y, c, &st->r);
}

static skive_status run(const skv_kernel_call *c) {
    const pool_state *st = c->n->state;
    const skv_geometry *g = &st->g;
    const uint8_t *x = c->in[0];
    char *y = c->out[0];
    const int threads = st->threads;
    const int64_t lines = st->n * g->out[0] * g->out[1];
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t line = 0; line < lines; line++) {
        int32_t *sum = (int32_t *)(void *)((char *)c->scratch + (size_t)skv_thread_number() * st->sum_bytes);
        const int64_t od = line / g->out[1] % g->out[0], oh = line % g->out[1];
        const uint8_t *image = x + line / g->out[1] / g->out[0] * skv_volume(g->in) * st->c;
        char *to = y + (size_t)(line * g->out[2] * st->c) * st->item;
        if (st->largest) {
            largest_line(st, image, od, oh, (uint8_t *)to);
            continue;
        }
        for (int64_t ow = 0; ow < g->out[2]; ow++, to += (size_t)st->c * st->item) {
            const window w = window_at(g, od, oh, ow);
            mean_of(st, image, &w, sum, to);
        }
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_MAX_POOL, SKV_OP_Q_AVERAGE_POOL, SKV_OP_Q_GLOBAL_AVERAGE_POOL, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_pool = {
    .name = "pool_u8",
    .brief = "maximum and mean of windows of 8-bit integers, along the channels",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
