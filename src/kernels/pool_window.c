/* Pooling in f32, the largest and the mean, over one to three spatial axes and over whole planes, in any layout. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/channels.h"
#include "kernels/pool_window.h"
#include "ops/conv/common_conv.h"

enum {
    PARALLEL_FROM = 32768, /* elements */
    SHORT_LINE = 64,       /* elements of an output line: shorter ones are computed all together */
    MOST_FLOATS = 1 << 14, /* of a plane's copies: they stay in the first caches */
};

/* Elements of an axis under a window, inside. */
typedef struct pool_span {
    int32_t first, count;
} pool_span;

typedef struct pool_state {
    skv_channels x, y;
    skv_geometry g;
    const skv_pool_loops *loops;
    bool whole, mean;
    bool padded;                    /* windows leave the line: it is copied with what changes nothing around it */
    bool together;                  /* all lines of a plane at once */
    pool_span *spans[2];            /* of the first two axes, at each output position */
    int32_t *divisors[SKV_SPATIAL]; /* of the mean, at each output position of an axis; their product counts */
    float *shares;                  /* of planes taken together: 1 / elements of the window at each output position */
    int threads;
    size_t thread_bytes, rows_at; /* of scratch: a line, and behind it the rows of a window */
} pool_state;

static bool is_mean(const skv_kernel_node *n) {
    return skv_node_is(n->node, SKV_OP_AVERAGE_POOL) || skv_node_is(n->node, SKV_OP_GLOBAL_AVERAGE_POOL);
}

static bool is_whole(const skv_kernel_node *n) {
    return skv_node_is(n->node, SKV_OP_GLOBAL_MAX_POOL) || skv_node_is(n->node, SKV_OP_GLOBAL_AVERAGE_POOL);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    if (!skv_kernel_f32(&n->in[0]) || !skv_kernel_f32(&n->out[0])) return skv_decline(why, "not float32, or empty");
    if (x->rank < 3 || x->rank > 2 + SKV_SPATIAL) return skv_decline(why, "rank %d", x->rank);
    if (n->n_out > 1 && !n->out[1].absent) return skv_decline(why, "indices are used");
    if (n->training) return skv_decline(why, "training, which has a kernel with the gradient");
    return true;
}

static const skv_pool_loops *loops_of(skv_isa isa, bool mean) {
    if (mean)
        return SKV_AT(isa, AVX512, &skv_pool_sum_avx512) SKV_AT(isa, AVX2, &skv_pool_sum_avx2)
            SKV_AT(isa, NEON, &skv_pool_sum_neon) SKV_ELSE(isa, &skv_pool_sum_scalar);
    return SKV_AT(isa, AVX512, &skv_pool_max_avx512) SKV_AT(isa, AVX2, &skv_pool_max_avx2)
        SKV_AT(isa, NEON, &skv_pool_max_neon) SKV_ELSE(isa, &skv_pool_max_scalar);
}

static void destroy(skive_context *ctx, void *state) {
    pool_state *st = state;
    if (!st) return;
    for (int a = 0; a < SKV_SPATIAL; a++) skv_free(ctx, st->divisors[a]);
    for (int a = 0; a < 2; a++) skv_free(ctx, st->spans[a]);
    skv_free(ctx, st->shares);
    skv_free(ctx, st);
}

static skive_status list_spans(skive_context *ctx, pool_state *st) {
    const skv_geometry *g = &st->g;
    for (int a = 0; a < 2; a++) {
        SKV_TRY(skv_alloc_array(ctx, (size_t)g->out[a], sizeof(pool_span), &st->spans[a]));
        for (int64_t o = 0; o < g->out[a]; o++) {
            int64_t lo, hi;
            skv_window_range(g, a, o, &lo, &hi);
            const int64_t first = o * g->stride[a] - g->pad_lo[a] + lo * g->dilation[a];
            st->spans[a][o] = (pool_span){(int32_t)first, (int32_t)(hi - lo)};
        }
    }
    return SKIVE_OK;
}

/* Floats of a line under all windows, padding included. */
static int64_t reach(const skv_geometry *g) {
    const int64_t windows = (g->out[2] - 1) * g->stride[2] + (g->kernel[2] - 1) * g->dilation[2] + 1;
    return windows > g->pad_lo[2] + g->in[2] ? windows : g->pad_lo[2] + g->in[2];
}

static skive_status list_divisors(skive_context *ctx, const skive_node *node, pool_state *st) {
    const bool with_padding = skv_attr_int(node, "count_include_pad", 0) != 0;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        SKV_TRY(skv_alloc_array(ctx, (size_t)st->g.out[a], sizeof(int32_t), &st->divisors[a]));
        for (int64_t o = 0; o < st->g.out[a]; o++)
            st->divisors[a][o] = (int32_t)skv_average_taps(&st->g, a, o, with_padding);
    }
    return SKIVE_OK;
}

/* In planes of short lines, what is left of each line behind whole vectors takes most of the time. With a stride of 1
 * the lines, with their padding, are as good as a single one. */
static bool takes_together(const pool_state *st) {
    const skv_geometry *g = &st->g;
    if (st->x.lanes != 1 || g->kernel[0] != 1 || g->stride[0] != 1 || g->in[0] != g->out[0] || g->pad_lo[0] != 0)
        return false;
    if (g->stride[1] != 1 || g->stride[2] != 1 || g->out[1] < 2 || g->out[2] > SHORT_LINE) return false;
    return reach(g) <= MOST_FLOATS && (2 * g->in[1] + g->out[1]) * reach(g) <= MOST_FLOATS;
}

/* There the first axis has windows of a single element. */
static skive_status list_shares(skive_context *ctx, pool_state *st) {
    const int64_t lines = st->g.out[1], width = st->g.out[2];
    SKV_TRY(skv_alloc_array(ctx, (size_t)(lines * width), sizeof *st->shares, &st->shares));
    for (int64_t i = 0; st->shares && i < lines * width; i++) {
        const int64_t count = (int64_t)st->divisors[1][i / width] * st->divisors[2][i % width];
        st->shares[i] = count > 0 ? 1.0f / (float)count : 0.0f;
    }
    return SKIVE_OK;
}

/* One window, which is the whole plane. */
static bool covers_all(const skv_geometry *g) {
    for (int a = 0; a < SKV_SPATIAL; a++)
        if (g->out[a] != 1 || g->kernel[a] != g->in[a] || g->pad_lo[a] != 0 || g->dilation[a] != 1) return false;
    return true;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    pool_state *st = state;
    int64_t dims[SKIVE_MAX_RANK];
    const skive_type *x = &n->in[0].type;
    skv_type_sizes(x, dims);
    st->mean = is_mean(n);
    st->whole = is_whole(n);
    st->loops = loops_of(skv_cpu_isa(), st->mean);
    n->out[0].layout = n->in[0].layout;
    st->x = skv_channels_of(x, n->in[0].layout);
    st->y = skv_channels_of(&n->out[0].type, n->in[0].layout);
    st->threads = st->x.n * st->x.batch_step < PARALLEL_FROM ? 1 : n->threads;
    if (st->whole) return SKIVE_OK;
    SKV_TRY(skv_conv_geometry(n->ctx, n->node, x->rank, dims, NULL, &st->g));
    if (covers_all(&st->g)) {
        st->whole = true;
        return SKIVE_OK;
    }
    if (st->mean) SKV_TRY(list_divisors(n->ctx, n->node, st));
    SKV_TRY(list_spans(n->ctx, st));
    st->padded = reach(&st->g) > st->g.in[2];
    st->together = takes_together(st);
    if (st->together && st->mean) SKV_TRY(list_shares(n->ctx, st));
    size_t line;
    if (!skv_mul_size((size_t)reach(&st->g), (size_t)st->x.lanes * sizeof(float), &line)) return SKIVE_ERR_LIMIT;
    if (st->together) line *= (size_t)(2 * st->g.in[1] + st->g.out[1]);
    const size_t rows = (size_t)(st->g.kernel[0] * st->g.kernel[1]) * sizeof(float *);
    size_t at;
    st->rows_at = skv_align_up(line, 64);
    st->thread_bytes = st->rows_at + skv_align_up(rows, 64);
    return skv_scratch_add(n, st->thread_bytes * (size_t)n->threads, &at);
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(pool_state), set_up, destroy); }

static void whole_plane(const pool_state *st, const float *x, float *y) {
    const int64_t lanes = st->x.lanes, s = st->x.s;
    if (lanes == 1) {
        *y = st->loops->all(x, s);
    } else {
        const skv_pool_line l = {.taps = s, .outs = 1, .lanes = lanes, .tap_step = lanes};
        st->loops->line(&l, x, y);
    }
    const float share = 1.0f / (float)s;
    for (int64_t c = 0; st->mean && c < lanes; c++) y[c] *= share;
}

/* The rows of the window at output line (od, oh) that lie inside. */
static size_t find_rows(const pool_state *st, int64_t od, int64_t oh, const float *plane, const float **rows) {
    const skv_geometry *g = &st->g;
    const pool_span d = st->spans[0][od], h = st->spans[1][oh];
    const int64_t line = g->in[2] * st->x.lanes;
    size_t n = 0;
    for (int64_t i = 0; i < d.count; i++)
        for (int64_t k = 0; k < h.count; k++)
            rows[n++] = plane + ((d.first + i * g->dilation[0]) * g->in[1] + h.first + k * g->dilation[1]) * line;
    return n;
}

/* From sums to means. */
static void divide(const pool_state *st, int64_t rows, float *y) {
    const int64_t lanes = st->x.lanes, out = st->g.out[2];
    const int32_t *columns = st->divisors[2];
    if (lanes == 1) {
#pragma omp simd
        for (int64_t o = 0; o < out; o++) {
            const float count = (float)((int32_t)rows * columns[o]);
            y[o] *= count > 0 ? 1.0f / count : 0.0f;
        }
        return;
    }
    for (int64_t o = 0; o < out; o++) {
        const int64_t count = rows * columns[o];
        const float share = count > 0 ? 1.0f / (float)count : 0.0f;
        for (int64_t c = 0; c < lanes; c++) y[o * lanes + c] *= share;
    }
}

static void pool_plane(const pool_state *st, const float *x, float *y, char *scratch) {
    const skv_geometry *g = &st->g;
    const int64_t lanes = st->x.lanes, width = g->in[2] * lanes, low = st->padded ? g->pad_lo[2] * lanes : 0;
    const float **rows = (const float **)(void *)(scratch + st->rows_at);
    const float nothing = st->mean ? 0 : -INFINITY;
    const skv_pool_line windows = {.taps = g->kernel[2],
                                   .outs = g->out[2],
                                   .lanes = lanes,
                                   .tap_step = g->dilation[2] * lanes,
                                   .out_step = g->stride[2] * lanes};
    float *copy = (float *)(void *)scratch;
    for (int64_t i = 0; i < low; i++) copy[i] = nothing;
    for (int64_t i = low + width; i < reach(g) * lanes; i++) copy[i] = nothing;
    for (int64_t od = 0; od < g->out[0]; od++) {
        for (int64_t oh = 0; oh < g->out[1]; oh++, y += g->out[2] * lanes) {
            const size_t n = find_rows(st, od, oh, x, rows);
            if (!n) {
                for (int64_t k = 0; k < g->out[2] * lanes; k++) y[k] = nothing;
                continue;
            }
            const float *line = rows[0];
            if (n > 1 || st->padded) {
                st->loops->rows(rows, n, copy + low, width);
                line = copy;
            }
            st->loops->line(&windows, line, y);
            if (st->mean) divide(st, (int64_t)st->divisors[0][od] * st->divisors[1][oh], y);
        }
    }
}

/* The lines with padding around them, one after another; y[h][o] = the largest or the sum under the window of position
 * o in line h. */
static void take_across(const pool_state *st, const float *x, float *copy, float *to) {
    const skv_geometry *g = &st->g;
    const int64_t width = g->in[2], low = g->pad_lo[2], all = reach(g);
    const float nothing = st->mean ? 0 : -INFINITY;
    const skv_pool_line windows = {.taps = g->kernel[2],
                                   .outs = (g->in[1] - 1) * all + g->out[2],
                                   .lanes = 1,
                                   .tap_step = g->dilation[2],
                                   .out_step = 1};
    st->loops->spread(x, g->in[1], width, copy, low, all, nothing);
    st->loops->line(&windows, copy, to);
}

/* The same down the columns of what take_across gave. */
static void take_down(const pool_state *st, const float *x, const float **rows, float *y) {
    const skv_geometry *g = &st->g;
    const pool_span *spans = st->spans[1];
    const int64_t all = reach(g), width = g->out[2];
    for (int64_t h = 0; h < g->out[1]; h++) {
        const pool_span s = spans[h];
        int64_t last = h; /* of the lines whose windows are whole: all together */
        while (s.count == g->kernel[1] && last + 1 < g->out[1] && spans[last + 1].count == s.count) last++;
        for (int64_t k = 0; k < s.count; k++) rows[k] = x + (s.first + k * g->dilation[1]) * all;
        if (s.count)
            st->loops->rows(rows, (size_t)s.count, y + h * all, (last - h) * all + width);
        else
            for (int64_t i = 0; i < width; i++) y[h * all + i] = st->mean ? 0 : -INFINITY;
        h = last;
    }
}

static void pool_together(const pool_state *st, const float *x, float *y, char *scratch) {
    const skv_geometry *g = &st->g;
    const int64_t all = reach(g), out = g->out[2];
    float *copy = (float *)(void *)scratch, *across = copy + g->in[1] * all, *down = across + g->in[1] * all;
    for (int64_t d = 0; d < g->out[0]; d++, x += g->in[1] * g->in[2], y += g->out[1] * out) {
        take_across(st, x, copy, across);
        take_down(st, across, (const float **)(void *)(scratch + st->rows_at), down);
        st->loops->collect(down, g->out[1], all, st->shares, y, out);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const pool_state *st = c->n->state;
    const int64_t planes = st->x.n * st->x.blocks;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t p = 0; p < planes; p++) {
        const float *x = (const float *)c->in[0] + p * st->x.block_step;
        float *y = (float *)c->out[0] + p * st->y.block_step;
        if (st->whole)
            whole_plane(st, x, y);
        else if (st->together)
            pool_together(st, x, y, (char *)c->scratch + (size_t)skv_thread_number() * st->thread_bytes);
        else
            pool_plane(st, x, y, (char *)c->scratch + (size_t)skv_thread_number() * st->thread_bytes);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_MAX_POOL, SKV_OP_AVERAGE_POOL, SKV_OP_GLOBAL_MAX_POOL,
                                  SKV_OP_GLOBAL_AVERAGE_POOL, SKV_OP_NONE};

const skv_kernel skv_kernel_pool_window_f32 = {
    .name = "pool_window_f32",
    .brief = "max and average pooling of windows and whole planes, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
