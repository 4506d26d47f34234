/* Average pooling over one or two spatial axes and over whole planes in f32, and its gradient, in any layout. Sums in
 * float along a row of the window, in the order of the reference; a whole plane that lies plain is summed by vectors.
 * */
#include <string.h>

#include "kernels/channels.h"
#include "ops/conv/common_conv.h"

typedef struct pool_state {
    skv_channels x, y;
    skv_geometry g;
    bool whole, with_padding;
    int threads;
} pool_state;

static bool is_grad(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_AVERAGE_POOL_GRAD); }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skv_kernel_value *x = &n->in[is_grad(n) ? 1 : 0];
    if (x->type.dtype != SKIVE_F32 || x->type.rank < 3 || x->type.rank > 4)
        return skv_decline(why, "not float32 of rank 3 or 4");
    for (int d = 0; d < x->type.rank; d++) {
        if (x->type.dims[d].size < 1) return skv_decline(why, "empty");
    }
    if (skv_attr_int(n->node, "ceil_mode", 0)) return skv_decline(why, "rounded up");
    return true;
}

/* The whole plane as one window. */
static skv_geometry plane_of(int rank, const int64_t *dims) {
    skv_geometry g = {.spatial = rank - 2};
    for (int a = 0; a < SKV_SPATIAL; a++) {
        g.in[a] = g.kernel[a] = a < SKV_SPATIAL - g.spatial ? 1 : dims[rank - SKV_SPATIAL + a];
        g.stride[a] = g.dilation[a] = g.out[a] = 1;
    }
    return g;
}

static skive_status prepare(skv_kernel_node *n) {
    pool_state *st = NULL;
    int64_t dims[4];
    const size_t xi = is_grad(n) ? 1 : 0;
    const skive_type *x = &n->in[xi].type, *y = is_grad(n) ? &n->in[0].type : &n->out[0].type;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d].size;
    st->whole = skv_node_is(n->node, SKV_OP_GLOBAL_AVERAGE_POOL);
    st->with_padding = skv_attr_int(n->node, "count_include_pad", 0) != 0;
    if (st->whole)
        st->g = plane_of(x->rank, dims);
    else
        SKV_TRY(skv_conv_geometry(n->ctx, n->node, x->rank, dims, NULL, &st->g));
    /* Of the gradient's second input only the shape is read. */
    const skv_layout layout = n->in[0].layout;
    n->in[0].layout = layout;
    if (is_grad(n)) n->skips_input_data[1] = true;
    n->out[0].layout = layout;
    st->x = skv_channels_of(x, layout);
    st->y = skv_channels_of(y, layout);
    st->threads = st->x.n * st->x.batch_step < 32768 ? 1 : n->threads;
    return SKIVE_OK;
}

typedef struct window {
    int64_t h0, h1, w0, w1, top, left;
    float share; /* 1 / number of elements it divides by */
} window;

static window window_at(const pool_state *st, int64_t oh, int64_t ow) {
    const skv_geometry *g = &st->g;
    window w;
    skv_window_range(g, 1, oh, &w.h0, &w.h1);
    skv_window_range(g, 2, ow, &w.w0, &w.w1);
    w.top = oh * g->stride[1] - g->pad_lo[1];
    w.left = ow * g->stride[2] - g->pad_lo[2];
    const int64_t inside = (w.h1 - w.h0) * (w.w1 - w.w0), all = g->kernel[1] * g->kernel[2];
    const int64_t count = st->with_padding ? all : inside;
    w.share = count > 0 ? 1.0f / (float)count : 0.0f;
    return w;
}

static int64_t tap(const pool_state *st, const window *w, int64_t kh, int64_t kw) {
    const skv_geometry *g = &st->g;
    return ((w->top + kh * g->dilation[1]) * g->in[2] + w->left + kw * g->dilation[2]) * st->x.position_step;
}

/* The whole of a plain plane: several sums at a time. */
static float mean_of_plane(const float *x, int64_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum * (1.0f / (float)n);
}

static void pool_plane(const pool_state *st, const float *x, float *y) {
    if (st->whole && st->x.lanes == 1) {
        *y = mean_of_plane(x, st->x.s);
        return;
    }
    const skv_geometry *g = &st->g;
    const int64_t lanes = st->x.lanes;
    for (int64_t oh = 0; oh < g->out[1]; oh++) {
        for (int64_t ow = 0; ow < g->out[2]; ow++) {
            const window w = window_at(st, oh, ow);
            float *to = y + (oh * g->out[2] + ow) * st->y.position_step;
            for (int64_t c = 0; c < lanes; c++) to[c] = 0;
            for (int64_t kh = w.h0; kh < w.h1; kh++) {
                for (int64_t kw = w.w0; kw < w.w1; kw++) {
                    const float *from = x + tap(st, &w, kh, kw);
                    for (int64_t c = 0; c < lanes; c++) to[c] += from[c];
                }
            }
            for (int64_t c = 0; c < lanes; c++) to[c] *= w.share;
        }
    }
}

static void spread_plane(const pool_state *st, const float *dy, float *dx) {
    const skv_geometry *g = &st->g;
    const int64_t lanes = st->x.lanes;
    memset(dx, 0, (size_t)(st->x.s * lanes) * sizeof *dx);
    for (int64_t oh = 0; oh < g->out[1]; oh++) {
        for (int64_t ow = 0; ow < g->out[2]; ow++) {
            const window w = window_at(st, oh, ow);
            const float *from = dy + (oh * g->out[2] + ow) * st->y.position_step;
            for (int64_t kh = w.h0; kh < w.h1; kh++) {
                for (int64_t kw = w.w0; kw < w.w1; kw++) {
                    float *to = dx + tap(st, &w, kh, kw);
                    for (int64_t c = 0; c < lanes; c++) to[c] += from[c] * w.share;
                }
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
        if (grad)
            spread_plane(st, (const float *)c->in[0] + yo, (float *)c->out[0] + xo);
        else
            pool_plane(st, (const float *)c->in[0] + xo, (float *)c->out[0] + yo);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_AVERAGE_POOL, SKV_OP_GLOBAL_AVERAGE_POOL, SKV_OP_AVERAGE_POOL_GRAD,
                                  SKV_OP_NONE};

const skv_kernel skv_kernel_pool_average_f32 = {
    .name = "pool_average_f32",
    .brief = "average pooling, of windows and whole planes, and its gradient, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
