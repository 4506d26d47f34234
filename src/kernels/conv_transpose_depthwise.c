/* ConvTranspose in f32 with one channel in and one out a group, along the channels: the output positions of a line that
 * are equal modulo the stride see the same taps, and are computed as those of a depthwise convolution. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/conv_windows.h"
#include "kernels/depthwise.h"
#include "ops/conv/common_conv_transpose.h"

enum { PARALLEL_FROM = 1 << 16 };

typedef struct transpose_state {
    skv_conv_shape s; /* of the convolution whose gradient this is: g.out of x, g.in of y */
    const skv_depthwise_loops *loops;
    float *w, *bias;     /* [taps][c], [c] */
    size_t thread_bytes; /* of scratch: the positions of one phase of a line */
    int threads;
} transpose_state;

static skive_status shape_of(const skv_kernel_node *n, skv_conv_shape *s) {
    int64_t x[SKIVE_MAX_RANK], w[SKIVE_MAX_RANK];
    skv_type_sizes(&n->in[0].type, x);
    skv_type_sizes(&n->in[1].type, w);
    return skv_conv_transpose_make(n->ctx, n->node, n->in[0].type.rank, x, n->in[1].type.rank, w, s);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_conv_shape s;
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    if (!skv_kernel_f32(&n->out[0])) return skv_decline(why, "an empty output");
    if (!n->in[1].constant || (skv_kernel_has_input(n, 2) && !n->in[2].constant))
        return skv_decline(why, "the weights are not constant");
    if (shape_of(n, &s) != SKIVE_OK) return skv_decline(why, "its shape");
    if (s.groups < 2 || s.groups != s.c || s.groups != s.m) return skv_decline(why, "not depthwise");
    const int64_t taps = skv_volume(s.g.kernel);
    return taps <= SKV_DEPTHWISE_TAPS ? true : skv_decline(why, "a window of %lld", (long long)taps);
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    transpose_state *st = state;
    SKV_TRY(shape_of(n, &st->s));
    const size_t taps = (size_t)skv_volume(st->s.g.kernel), c = (size_t)st->s.c;
    const int64_t positions = (st->s.g.in[2] + st->s.g.stride[2] - 1) / st->s.g.stride[2];
    SKV_TRY(skv_arena_array(n->weights, taps, c * sizeof *st->w, &st->w));
    SKV_TRY(skv_arena_array(n->weights, c, sizeof *st->bias, &st->bias));
    skv_windows_turn(1, st->s.c, (int64_t)taps, n->in[1].constant->data, st->w);
    memset(st->bias, 0, c * sizeof *st->bias);
    if (skv_kernel_has_input(n, 2)) memcpy(st->bias, n->in[2].constant->data, c * sizeof *st->bias);
    st->loops = skv_depthwise_of(skv_cpu_isa());
    n->packs_input[1] = n->packs_input[2] = true;
    n->state_bytes = (taps + 1) * c * sizeof(float);
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    const int64_t work = st->s.n * st->s.c * skv_volume(st->s.g.out) * (int64_t)taps;
    st->threads = work < PARALLEL_FROM ? 1 : n->threads;
    st->thread_bytes = skv_align_up((size_t)positions * c * sizeof(float), 64);
    size_t at;
    return skv_scratch_add(n, st->thread_bytes * (size_t)n->threads, &at);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) {
    return skv_kernel_prepare(n, sizeof(transpose_state), set_up, destroy);
}

/* The input element under tap k of an axis at output position o; -1: none. */
static int64_t under(const skv_geometry *g, int axis, int64_t o, int64_t k) {
    const int64_t at = o + g->pad_lo[axis] - k * g->dilation[axis];
    return at >= 0 && at % g->stride[axis] == 0 && at / g->stride[axis] < g->out[axis] ? at / g->stride[axis] : -1;
}

/* Does tap k see the positions of a phase, and at which input element that of index 0 (which may lie outside)? */
static bool meets(const skv_geometry *g, int64_t phase, int64_t k, int64_t *at) {
    const int64_t step = g->stride[2], from = phase + g->pad_lo[2] - k * g->dilation[2];
    *at = from / step;
    return from % step == 0;
}

/* Positions [first, first + count) of a phase, which all see the same taps inside, of output line (od, oh). */
static void run_positions(const transpose_state *st, const float *image, int64_t od, int64_t oh, int64_t phase,
                          int64_t first, int64_t count, float *to) {
    const skv_geometry *g = &st->s.g;
    const float *x[SKV_DEPTHWISE_TAPS], *w[SKV_DEPTHWISE_TAPS];
    const int64_t c = st->s.c;
    size_t taps = 0;
    for (int64_t i = 0; i < g->kernel[0] * g->kernel[1]; i++) {
        const int64_t d = under(g, 0, od, i / g->kernel[1]), h = under(g, 1, oh, i % g->kernel[1]);
        for (int64_t k = 0; d >= 0 && h >= 0 && k < g->kernel[2]; k++) {
            int64_t at;
            if (!meets(g, phase, k, &at) || at + first < 0 || at + first >= g->out[2]) continue;
            x[taps] = image + ((d * g->out[1] + h) * g->out[2] + at + first) * c;
            w[taps++] = st->w + (i * g->kernel[2] + k) * c;
        }
    }
    const skv_depthwise_run r = {.positions = count,
                                 .channels = c,
                                 .x_step = c,
                                 .taps = taps,
                                 .x = x,
                                 .w = w,
                                 .bias = st->bias,
                                 .y = to + first * c};
    st->loops->run(&r);
}

static void run_phase(const transpose_state *st, const float *image, int64_t od, int64_t oh, int64_t phase,
                      float *positions, float *line) {
    const skv_geometry *g = &st->s.g;
    const int64_t c = st->s.c, step = g->stride[2], count = (g->in[2] - phase + step - 1) / step;
    int64_t lo = 0, hi = count;
    for (int64_t k = 0; k < g->kernel[2]; k++) {
        int64_t at;
        if (!meets(g, phase, k, &at)) continue;
        lo = -at > lo ? -at : lo;
        hi = g->out[2] - at < hi ? g->out[2] - at : hi;
    }
    if (lo > count) lo = count;
    if (hi < lo) hi = lo;
    for (int64_t j = 0; j < lo; j++) run_positions(st, image, od, oh, phase, j, 1, positions);
    if (hi > lo) run_positions(st, image, od, oh, phase, lo, hi - lo, positions);
    for (int64_t j = hi; j < count; j++) run_positions(st, image, od, oh, phase, j, 1, positions);
    for (int64_t j = 0; j < count; j++)
        memcpy(line + (phase + j * step) * c, positions + j * c, (size_t)c * sizeof *line);
}

static skive_status run(const skv_kernel_call *call) {
    const transpose_state *st = call->n->state;
    const skv_geometry *g = &st->s.g;
    const int64_t lines = g->in[0] * g->in[1], phases = g->stride[2] < g->in[2] ? g->stride[2] : g->in[2];
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->s.n * lines; i++) {
        const float *image = (const float *)call->in[0] + i / lines * skv_volume(g->out) * st->s.c;
        float *line = (float *)call->out[0] + i * g->in[2] * st->s.c;
        char *scratch = (char *)call->scratch + (size_t)skv_thread_number() * st->thread_bytes;
        for (int64_t phase = 0; phase < phases; phase++)
            run_phase(st, image, i % lines / g->in[1], i % g->in[1], phase, (float *)(void *)scratch, line);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_CONV_TRANSPOSE, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_transpose_depthwise_f32 = {
    .name = "conv_transpose_depthwise_f32",
    .brief = "depthwise transposed convolution, along the channels",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
