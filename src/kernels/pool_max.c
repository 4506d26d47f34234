/* Max pooling over one or two spatial axes in f32 and its gradient, in any layout. The gradient goes to the first
 * largest element of a window, found again by comparing with the pooled value, so that the forward pass need not keep
 * indices. */
#include <math.h>
#include <string.h>

#include "kernels/channels.h"
#include "kernels/pool_max.h"
#include "ops/conv/common_conv.h"

typedef struct pool_state {
    skv_channels x, y;
    skv_geometry g;
    skv_pool_apart apart;
    const skv_pool_max_loops *loops; /* NULL: the CPU's level has none */
    bool is_apart, covers;           /* windows side by side in blocks of 16; they cover the input */
    int threads;
} pool_state;

static bool is_grad(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_MAX_POOL_GRAD); }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skv_kernel_value *x = &n->in[is_grad(n) ? 1 : 0];
    if (x->type.dtype != SKIVE_F32 || x->type.rank < 3 || x->type.rank > 4)
        return skv_decline(why, "not float32 of rank 3 or 4");
    if (n->n_out > 1 && !n->out[1].absent) return skv_decline(why, "indices are used");
    for (int d = 0; d < x->type.rank; d++) {
        if (x->type.dims[d].size < 1) return skv_decline(why, "empty");
    }
    return true;
}

static void find_apart(pool_state *st) {
    const skv_geometry *g = &st->g;
    const skv_isa isa = skv_cpu_isa();
    st->loops = SKV_AT(isa, AVX512, &skv_pool_max_loops_avx512) SKV_ELSE(isa, NULL);
    st->is_apart = st->loops && st->x.lanes == 16;
    st->covers = true;
    st->apart.width = g->in[2];
    for (int a = 1; a < SKV_SPATIAL; a++) {
        st->is_apart = st->is_apart && g->kernel[a] == g->stride[a] && g->dilation[a] == 1 && g->pad_lo[a] == 0 &&
                       g->out[a] * g->stride[a] <= g->in[a];
        st->covers = st->covers && g->out[a] * g->stride[a] == g->in[a];
        st->apart.kernel[a - 1] = g->kernel[a];
        st->apart.out[a - 1] = g->out[a];
    }
}

static skive_status prepare(skv_kernel_node *n) {
    pool_state *st = NULL;
    int64_t dims[4];
    const size_t xi = is_grad(n) ? 1 : 0;
    const skive_type *x = &n->in[xi].type, *y = is_grad(n) ? &n->in[2].type : &n->out[0].type;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d].size;
    SKV_TRY(skv_conv_geometry(n->ctx, n->node, x->rank, dims, NULL, &st->g));
    const skv_layout layout = n->in[xi].layout;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = layout;
    n->out[0].layout = layout;
    st->x = skv_channels_of(x, layout);
    st->y = skv_channels_of(y, layout);
    find_apart(st);
    st->threads = st->x.n * st->x.batch_step < 32768 ? 1 : n->threads;
    return SKIVE_OK;
}

/* Rows lo..hi and columns of the window at output (oh, ow). */
typedef struct window {
    int64_t h0, h1, w0, w1, top, left;
} window;

static window window_at(const skv_geometry *g, int64_t oh, int64_t ow) {
    window w;
    skv_window_range(g, 1, oh, &w.h0, &w.h1);
    skv_window_range(g, 2, ow, &w.w0, &w.w1);
    w.top = oh * g->stride[1] - g->pad_lo[1];
    w.left = ow * g->stride[2] - g->pad_lo[2];
    return w;
}

static int64_t tap(const pool_state *st, const window *w, int64_t kh, int64_t kw) {
    const skv_geometry *g = &st->g;
    return ((w->top + kh * g->dilation[1]) * g->in[2] + w->left + kw * g->dilation[2]) * st->x.position_step;
}

enum { LANES_AT_ONCE = 16 };

/* m lanes of one window, each with a flag whether its largest was met already. Inlined with a constant m, so that the
 * lanes become vectors. */
static inline __attribute__((always_inline)) void spread_window(const pool_state *st, const window *w, int64_t m,
                                                                const float *dy, const float *x, const float *y,
                                                                float *dx) {
    float open[LANES_AT_ONCE];
    for (int64_t c = 0; c < m; c++) open[c] = 1.0f;
    for (int64_t kh = w->h0; kh < w->h1; kh++) {
        for (int64_t kw = w->w0; kw < w->w1; kw++) {
            const int64_t at = tap(st, w, kh, kw);
#pragma omp simd
            for (int64_t c = 0; c < m; c++) {
                const float hit = (float)(x[at + c] == y[c]) * open[c]; /* a choice would become a branch */
                dx[at + c] += hit * dy[c];
                open[c] -= hit;
            }
        }
    }
}

/* NaN once either is: the comparison keeps one in `before`. Two choices, which become two instructions. */
static inline __attribute__((always_inline)) float larger(float v, float before) {
    const float most = v > before ? v : before;
    return v != v ? v : most;
}

/* The largest of one window in m lanes. */
static inline __attribute__((always_inline)) void pool_window(const pool_state *st, const window *w, int64_t m,
                                                              const float *x, float *y) {
    float top[LANES_AT_ONCE];
    for (int64_t c = 0; c < m; c++) top[c] = -INFINITY;
    for (int64_t kh = w->h0; kh < w->h1; kh++) {
        for (int64_t kw = w->w0; kw < w->w1; kw++) {
            const float *from = x + tap(st, w, kh, kw);
#pragma omp simd
            for (int64_t c = 0; c < m; c++) top[c] = larger(from[c], top[c]);
        }
    }
    for (int64_t c = 0; c < m; c++) y[c] = top[c];
}

/* Output columns [lo, hi) whose tap kw lies inside the input. */
static void inside(const skv_geometry *g, int64_t kw, int64_t *lo, int64_t *hi) {
    const int64_t at = kw * g->dilation[2] - g->pad_lo[2], step = g->stride[2];
    *lo = at < 0 ? (step - 1 - at) / step : 0;
    *hi = g->in[2] > at ? (g->in[2] - at + step - 1) / step : 0;
    if (*hi > g->out[2]) *hi = g->out[2];
}

/* Inlined with a constant step where it is one of the usual ones. */
static inline __attribute__((always_inline)) void pool_line(const float *x, int64_t step, int64_t lo, int64_t hi,
                                                            float *y) {
#pragma omp simd
    for (int64_t o = lo; o < hi; o++) y[o] = larger(x[o * step], y[o]);
}

/* Plain data, a tap at a time along the line; every output meets its taps in the same order as in pool_window. */
static void pool_lines(const pool_state *st, const float *x, float *y) {
    const skv_geometry *g = &st->g;
    for (int64_t oh = 0; oh < g->out[1]; oh++, y += g->out[2]) {
        int64_t h0, h1;
        skv_window_range(g, 1, oh, &h0, &h1);
        for (int64_t o = 0; o < g->out[2]; o++) y[o] = -INFINITY;
        for (int64_t kh = h0; kh < h1; kh++) {
            const float *line = x + (oh * g->stride[1] - g->pad_lo[1] + kh * g->dilation[1]) * g->in[2];
            for (int64_t kw = 0; kw < g->kernel[2]; kw++) {
                int64_t lo, hi;
                inside(g, kw, &lo, &hi);
                const float *from = line + kw * g->dilation[2] - g->pad_lo[2];
                if (g->stride[2] == 1)
                    pool_line(from, 1, lo, hi, y);
                else if (g->stride[2] == 2)
                    pool_line(from, 2, lo, hi, y);
                else
                    pool_line(from, g->stride[2], lo, hi, y);
            }
        }
    }
}

static void pool_plane(const pool_state *st, const float *x, float *y) {
    if (st->is_apart) {
        st->loops->apart(&st->apart, x, y);
        return;
    }
    if (st->x.lanes == 1) {
        pool_lines(st, x, y);
        return;
    }
    const skv_geometry *g = &st->g;
    for (int64_t oh = 0; oh < g->out[1]; oh++) {
        for (int64_t ow = 0; ow < g->out[2]; ow++) {
            const window w = window_at(g, oh, ow);
            float *to = y + (oh * g->out[2] + ow) * st->y.position_step;
            for (int64_t c = 0; c < st->x.lanes; c += LANES_AT_ONCE) {
                const int64_t m = st->x.lanes - c;
                if (m >= LANES_AT_ONCE)
                    pool_window(st, &w, LANES_AT_ONCE, x + c, to + c);
                else if (m == 8)
                    pool_window(st, &w, 8, x + c, to + c);
                else
                    pool_window(st, &w, m, x + c, to + c);
            }
        }
    }
}

static void spread_plane(const pool_state *st, const float *dy, const float *x, const float *y, float *dx) {
    const skv_geometry *g = &st->g;
    if (!st->is_apart || !st->covers) memset(dx, 0, (size_t)(st->x.s * st->x.lanes) * sizeof *dx);
    if (st->is_apart) {
        st->loops->spread(&st->apart, dy, x, y, dx);
        return;
    }
    for (int64_t oh = 0; oh < g->out[1]; oh++) {
        for (int64_t ow = 0; ow < g->out[2]; ow++) {
            const window w = window_at(g, oh, ow);
            const int64_t o = (oh * g->out[2] + ow) * st->y.position_step;
            for (int64_t c = 0; c < st->x.lanes; c += LANES_AT_ONCE) {
                const int64_t m = st->x.lanes - c;
                if (m >= LANES_AT_ONCE)
                    spread_window(st, &w, LANES_AT_ONCE, dy + o + c, x + c, y + o + c, dx + c);
                else if (m == 8)
                    spread_window(st, &w, 8, dy + o + c, x + c, y + o + c, dx + c);
                else
                    spread_window(st, &w, m, dy + o + c, x + c, y + o + c, dx + c);
            }
        }
    }
}

static skive_status run(const skv_kernel_call *c) {
    const pool_state *st = c->n->state;
    const int64_t planes = st->x.n * st->x.blocks;
    const int threads = st->threads;
    const bool grad = is_grad(c->n);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t p = 0; p < planes; p++) {
        const int64_t xo = p * st->x.block_step, yo = p * st->y.block_step;
        if (grad) {
            spread_plane(st, (const float *)c->in[0] + yo, (const float *)c->in[1] + xo, (const float *)c->in[2] + yo,
                         (float *)c->out[0] + xo);
        } else {
            pool_plane(st, (const float *)c->in[0] + xo, (float *)c->out[0] + yo);
        }
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_MAX_POOL, SKV_OP_MAX_POOL_GRAD, SKV_OP_NONE};

const skv_kernel skv_kernel_pool_max_f32 = {
    .name = "pool_max_f32",
    .brief = "max pooling and its gradient, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
