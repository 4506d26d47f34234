/* Depthwise convolution in f32, one channel in and one out a group, with its activation: along the channels, line by
 * line of the output. The window's taps that lie in the padding are left out. */
#include <string.h>

#include "kernels/conv_windows.h"
#include "kernels/depthwise.h"
#include "kernels/finish.h"

enum { PARALLEL_FROM = 1 << 16 };

bool skv_depthwise_suits(const skive_type *x, const skive_type *w, int64_t groups, skv_why *why) {
    if (x->rank < 3 || x->rank > 4) return skv_decline(why, "rank %d", x->rank);
    if (groups < 2 || groups != x->dims[1].size || groups != w->dims[0].size) return skv_decline(why, "not depthwise");
    int64_t taps = 1;
    for (int d = 2; d < w->rank; d++) taps *= w->dims[d].size;
    return taps <= SKV_DEPTHWISE_TAPS ? true : skv_decline(why, "a window of %lld", (long long)taps);
}

const skv_depthwise_loops *skv_depthwise_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_depthwise_avx512) SKV_AT(isa, AVX2, &skv_depthwise_avx2)
        SKV_AT(isa, NEON, &skv_depthwise_neon) SKV_ELSE(isa, &skv_depthwise_scalar);
}

typedef struct depthwise_state {
    skv_conv_shape s;
    skv_finish finish;
    const skv_depthwise_loops *loops;
    float *w, *bias;      /* [taps][c], [c]; NULL: made at every run */
    size_t w_at, bias_at; /* in scratch then */
    bool adds;
    int threads;
} depthwise_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type;
    if (!skv_kernel_f32(&n->in[0]) || !skv_kernel_f32(&n->out[0])) return skv_decline(why, "not float32, or empty");
    return skv_depthwise_suits(x, w, skv_attr_int(n->node, "group", 1), why);
}

static void write_weights(const depthwise_state *st, const float *w, const float *bias, float *w_to, float *bias_to) {
    const size_t c = (size_t)st->s.c;
    skv_windows_turn(1, st->s.c, skv_volume(st->s.g.kernel), w, w_to);
    if (bias)
        memcpy(bias_to, bias, c * sizeof *bias);
    else
        memset(bias_to, 0, c * sizeof *bias_to);
}

static skive_status pack(skv_kernel_node *n, depthwise_state *st) {
    const size_t taps = (size_t)skv_volume(st->s.g.kernel), c = (size_t)st->s.c;
    if (!n->in[1].constant || (skv_kernel_has_input(n, 2) && !n->in[2].constant)) {
        SKV_TRY(skv_scratch_add(n, taps * c * sizeof(float), &st->w_at));
        return skv_scratch_add(n, c * sizeof(float), &st->bias_at);
    }
    SKV_TRY(skv_arena_array(n->weights, taps, c * sizeof *st->w, &st->w));
    SKV_TRY(skv_arena_array(n->weights, c, sizeof *st->bias, &st->bias));
    write_weights(st, n->in[1].constant->data, skv_kernel_has_input(n, 2) ? n->in[2].constant->data : NULL, st->w,
                  st->bias);
    n->packs_input[1] = n->packs_input[2] = true;
    n->state_bytes = (taps + 1) * c * sizeof(float);
    return SKIVE_OK;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    depthwise_state *st = state;
    SKV_TRY(skv_windows_shape(n, &n->in[0].type, &n->in[1].type, &st->s));
    SKV_TRY(skv_finish_read(n, &st->finish));
    SKV_TRY(pack(n, st));
    st->loops = skv_depthwise_of(skv_cpu_isa());
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    st->adds = skv_kernel_has_input(n, 3);
    if (st->adds) n->in[3].layout = SKV_NHWC;
    const skv_geometry *g = &st->s.g;
    const int64_t work = st->s.n * st->s.c * skv_volume(g->out) * skv_volume(g->kernel);
    st->threads = work < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) {
    return skv_kernel_prepare(n, sizeof(depthwise_state), set_up, destroy);
}

typedef struct packed {
    const float *w, *bias;
} packed;

/* The taps of the window at output line `oh`, columns [ow, ow + positions), which all see the same of them. */
static void run_positions(const depthwise_state *st, const packed *by, const float *image, int64_t oh, int64_t ow,
                          int64_t positions, float *line) {
    const skv_geometry *g = &st->s.g;
    const int64_t c = st->s.c, h = oh * g->stride[1] - g->pad_lo[1], at = ow * g->stride[2] - g->pad_lo[2];
    const float *x[SKV_DEPTHWISE_TAPS], *w[SKV_DEPTHWISE_TAPS];
    int64_t h_lo, h_hi, w_lo, w_hi;
    size_t taps = 0;
    skv_window_range(g, 1, oh, &h_lo, &h_hi);
    skv_window_range(g, 2, ow, &w_lo, &w_hi);
    for (int64_t kh = h_lo; kh < h_hi; kh++) {
        for (int64_t kw = w_lo; kw < w_hi; kw++, taps++) {
            x[taps] = image + ((h + kh * g->dilation[1]) * g->in[2] + at + kw * g->dilation[2]) * c;
            w[taps] = by->w + (kh * g->kernel[2] + kw) * c;
        }
    }
    const skv_depthwise_run r = {.positions = positions,
                                 .channels = c,
                                 .x_step = g->stride[2] * c,
                                 .taps = taps,
                                 .x = x,
                                 .w = w,
                                 .bias = by->bias,
                                 .y = line + ow * c};
    st->loops->run(&r);
}

/* Columns [lo, hi) of the output whose windows lie inside along the line. */
static void inside(const skv_geometry *g, int64_t *lo, int64_t *hi) {
    int64_t first, last;
    *lo = 0, *hi = g->out[2];
    for (int64_t k = 0; k < g->kernel[2]; k++) {
        skv_tap_range(g, 2, k, &first, &last);
        *lo = first > *lo ? first : *lo;
        *hi = last < *hi ? last : *hi;
    }
    if (*hi < *lo) *hi = *lo;
}

static skive_status run(const skv_kernel_call *call) {
    const depthwise_state *st = call->n->state;
    const skv_geometry *g = &st->s.g;
    const int64_t lines = st->s.n * g->out[1], line_floats = g->out[2] * st->s.c;
    const int threads = st->threads;
    packed by = {st->w, st->bias};
    int64_t lo, hi;
    inside(g, &lo, &hi);
    if (!by.w) {
        float *w = (float *)(void *)((char *)call->scratch + st->w_at);
        float *bias = (float *)(void *)((char *)call->scratch + st->bias_at);
        write_weights(st, call->in[1], skv_kernel_has_input(call->n, 2) ? call->in[2] : NULL, w, bias);
        by = (packed){w, bias};
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < lines; i++) {
        const float *image = (const float *)call->in[0] + i / g->out[1] * g->in[1] * g->in[2] * st->s.c;
        float *line = (float *)call->out[0] + i * line_floats;
        for (int64_t ow = 0; ow < lo; ow++) run_positions(st, &by, image, i % g->out[1], ow, 1, line);
        if (hi > lo) run_positions(st, &by, image, i % g->out[1], lo, hi - lo, line);
        for (int64_t ow = hi; ow < g->out[2]; ow++) run_positions(st, &by, image, i % g->out[1], ow, 1, line);
        if (st->adds) {
            const float *z = (const float *)call->in[3] + i * line_floats;
            for (int64_t k = 0; k < line_floats; k++) line[k] += z[k];
        }
        skv_finish_run(&st->finish, line, line_floats);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_FUSED_CONV, SKV_OP_CONV, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_depthwise_f32 = {
    .name = "conv_depthwise_f32",
    .brief = "depthwise convolution and activation in one, along the channels",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
