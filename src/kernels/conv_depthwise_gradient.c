/* The gradients of a depthwise convolution in f32, over values that stand with their channels last:
 *     by input    along the channels, line by line, like the convolution itself with the places of input and output
 *                 exchanged
 *     by weight   tap by tap along the lines of dY; each thread sums lines of its own, and the threads' sums are added
 *                 in their order */
#include <string.h>

#include "kernels/conv_windows.h"
#include "kernels/depthwise.h"

enum { PARALLEL_FROM = 1 << 16 }; /* multiplications */

typedef struct grad_state {
    skv_conv_shape s;
    const skv_depthwise_loops *loops;
    bool by_weight;
    int threads;
    size_t w, zeros;                     /* offsets into scratch: w [taps][c], [c] */
    size_t sums, bias_sums, sums_floats; /* of each thread: [taps][c], [c] */
} grad_state;

static bool by_weight(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_CONV_GRAD_WEIGHT); }
/* dY, W, X or dY, X, W. */
static size_t x_index(const skv_kernel_node *n) { return by_weight(n) ? 1 : 2; }
static size_t w_index(const skv_kernel_node *n) { return by_weight(n) ? 2 : 1; }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < 3; i++)
        if (!skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    return skv_depthwise_suits(&n->in[x_index(n)].type, &n->in[w_index(n)].type, skv_attr_int(n->node, "group", 1),
                               why);
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    grad_state *st = state;
    const skv_geometry *g = &st->s.g;
    SKV_TRY(skv_windows_shape(n, &n->in[x_index(n)].type, &n->in[w_index(n)].type, &st->s));
    st->by_weight = by_weight(n);
    st->loops = skv_depthwise_of(skv_cpu_isa());
    n->in[0].layout = SKV_NHWC;
    if (st->by_weight)
        n->in[1].layout = SKV_NHWC;
    else
        n->out[0].layout = SKV_NHWC;
    n->skips_input_data[2] = true;
    const size_t taps = (size_t)skv_volume(g->kernel), c = (size_t)st->s.c;
    const int64_t work = st->s.n * st->s.c * skv_volume(g->out) * (int64_t)taps;
    st->threads = work < PARALLEL_FROM ? 1 : n->threads;
    if (!st->by_weight) {
        SKV_TRY(skv_scratch_add(n, taps * c * sizeof(float), &st->w));
        return skv_scratch_add(n, c * sizeof(float), &st->zeros);
    }
    st->sums_floats = skv_align_up(taps * c, 16);
    SKV_TRY(skv_scratch_add(n, (size_t)st->threads * st->sums_floats * sizeof(float), &st->sums));
    return skv_scratch_add(n, (size_t)st->threads * c * sizeof(double), &st->bias_sums);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(grad_state), set_up, destroy); }

static float *floats_at(const skv_kernel_call *c, size_t offset) {
    return (float *)(void *)((char *)c->scratch + offset);
}

/* ---- by input ---- */

/* The output position whose tap k lies at input position i of an axis; false: none does. */
static bool output_at(const skv_geometry *g, int axis, int64_t i, int64_t k, int64_t *o) {
    const int64_t at = i + g->pad_lo[axis] - k * g->dilation[axis];
    *o = at / g->stride[axis];
    return at >= 0 && at % g->stride[axis] == 0 && *o < g->out[axis];
}

/* Input columns [iw, iw + positions) of line ih, which lie under the same taps. */
static void positions_by_input(const grad_state *st, const skv_kernel_call *call, const float *dy, int64_t ih,
                               int64_t iw, int64_t positions, float *line) {
    const skv_geometry *g = &st->s.g;
    const int64_t c = st->s.c;
    const float *x[SKV_DEPTHWISE_TAPS], *w[SKV_DEPTHWISE_TAPS], *weights = floats_at(call, st->w);
    size_t taps = 0;
    int64_t oh, ow;
    for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
        if (!output_at(g, 1, ih, kh, &oh)) continue;
        for (int64_t kw = 0; kw < g->kernel[2]; kw++) {
            if (!output_at(g, 2, iw, kw, &ow)) continue;
            x[taps] = dy + (oh * g->out[2] + ow) * c;
            w[taps++] = weights + (kh * g->kernel[2] + kw) * c;
        }
    }
    const skv_depthwise_run r = {.positions = positions,
                                 .channels = c,
                                 .x_step = c,
                                 .taps = taps,
                                 .x = x,
                                 .w = w,
                                 .bias = floats_at(call, st->zeros),
                                 .y = line + iw * c};
    st->loops->run(&r);
}

/* Input columns [lo, hi) that lie under all taps of a line; none where windows are not side by side. */
static void under_all(const skv_geometry *g, int64_t *lo, int64_t *hi) {
    *lo = (g->kernel[2] - 1) * g->dilation[2] - g->pad_lo[2];
    *hi = g->out[2] - g->pad_lo[2];
    if (*lo < 0) *lo = 0;
    if (*lo > g->in[2]) *lo = g->in[2];
    if (*hi > g->in[2]) *hi = g->in[2];
    if (*hi < *lo || g->stride[2] > 1) *hi = *lo;
}

static void run_by_input(const grad_state *st, const skv_kernel_call *call) {
    const skv_geometry *g = &st->s.g;
    const int64_t lines = st->s.n * g->in[1], c = st->s.c;
    const int threads = st->threads;
    int64_t lo, hi;
    skv_windows_turn(1, c, skv_volume(g->kernel), call->in[1], floats_at(call, st->w));
    memset(floats_at(call, st->zeros), 0, (size_t)c * sizeof(float));
    under_all(g, &lo, &hi);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < lines; i++) {
        const float *dy = (const float *)call->in[0] + i / g->in[1] * skv_volume(g->out) * c;
        float *line = (float *)call->out[0] + i * g->in[2] * c;
        for (int64_t iw = 0; iw < lo; iw++) positions_by_input(st, call, dy, i % g->in[1], iw, 1, line);
        if (hi > lo) positions_by_input(st, call, dy, i % g->in[1], lo, hi - lo, line);
        for (int64_t iw = hi; iw < g->in[2]; iw++) positions_by_input(st, call, dy, i % g->in[1], iw, 1, line);
    }
}

/* ---- by weight ---- */

static void line_by_weight(const grad_state *st, const float *x, const float *dy, int64_t oh, float *sums) {
    const skv_geometry *g = &st->s.g;
    const int64_t c = st->s.c, step = g->stride[2] * c;
    int64_t kh, h_hi, lo, hi;
    skv_window_range(g, 1, oh, &kh, &h_hi);
    for (; kh < h_hi; kh++) {
        const float *x_line = x + (oh * g->stride[1] - g->pad_lo[1] + kh * g->dilation[1]) * g->in[2] * c;
        for (int64_t kw = 0; kw < g->kernel[2]; kw++) {
            skv_tap_range(g, 2, kw, &lo, &hi);
            if (hi <= lo) continue;
            const skv_depthwise_sums of = {.positions = hi - lo,
                                           .channels = c,
                                           .x_step = step,
                                           .x = x_line + lo * step + (kw * g->dilation[2] - g->pad_lo[2]) * c,
                                           .dy = dy + lo * c,
                                           .dw = sums + (kh * g->kernel[2] + kw) * c};
            st->loops->sums(&of);
        }
    }
}

/* Lines [from, to) of dY, summed into the thread's own place. */
static void lines_by_weight(const grad_state *st, const skv_kernel_call *call, int thread, int64_t from, int64_t to) {
    const skv_geometry *g = &st->s.g;
    const int64_t c = st->s.c;
    float *sums = floats_at(call, st->sums) + (size_t)thread * st->sums_floats;
    double *bias = (double *)(void *)((char *)call->scratch + st->bias_sums) + thread * c;
    memset(sums, 0, (size_t)(skv_volume(g->kernel) * c) * sizeof *sums);
    memset(bias, 0, (size_t)c * sizeof *bias);
    for (int64_t i = from; i < to; i++) {
        const float *x = (const float *)call->in[1] + i / g->out[1] * skv_volume(g->in) * c;
        const float *dy = (const float *)call->in[0] + i * g->out[2] * c;
        line_by_weight(st, x, dy, i % g->out[1], sums);
        for (int64_t o = 0; o < g->out[2]; o++, dy += c) {
#pragma omp simd
            for (int64_t k = 0; k < c; k++) bias[k] += (double)dy[k];
        }
    }
}

static void run_by_weight(const grad_state *st, const skv_kernel_call *call) {
    const int64_t c = st->s.c, taps = skv_volume(st->s.g.kernel), lines = st->s.n * st->s.g.out[1];
    const int threads = st->threads;
    float *sums = floats_at(call, st->sums), *db = call->n->n_out > 1 ? call->out[1] : NULL;
    double *bias = (double *)(void *)((char *)call->scratch + st->bias_sums);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) lines_by_weight(st, call, t, lines * t / threads, lines * (t + 1) / threads);
    for (int t = 1; t < threads; t++) {
        const float *more = sums + (size_t)t * st->sums_floats;
        for (int64_t i = 0; i < taps * c; i++) sums[i] += more[i];
        for (int64_t i = 0; i < c; i++) bias[i] += bias[t * c + i];
    }
    skv_windows_turn_back(1, c, taps, sums, call->out[0]);
    for (int64_t i = 0; db && i < c; i++) db[i] = (float)bias[i];
}

static skive_status run(const skv_kernel_call *call) {
    const grad_state *st = call->n->state;
    if (st->by_weight)
        run_by_weight(st, call);
    else
        run_by_input(st, call);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_CONV_GRAD_INPUT, SKV_OP_CONV_GRAD_WEIGHT, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_depthwise_gradient_f32 = {
    .name = "conv_depthwise_gradient_f32",
    .brief = "gradients of depthwise convolution by input, weight and bias, along the channels",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
