/* BatchNormalization in training and its gradient, f32, in any layout, with the sum and the Relu behind it when they
 * are fused. The batch is summed in pieces that depend on its size alone, in float over a sample and in double over
 * samples, so that the number of threads changes nothing. */
#include <math.h>
#include <string.h>

#include "kernels/channels.h"
#include "kernels/norm_batch.h"

enum { SPAN = SKV_NORM_SPAN, PIECES = 16 };

typedef struct norm_state {
    skv_channels x;
    double epsilon, momentum;
    const skv_norm_loops *loops;
    int64_t groups, channels, pieces; /* runs of SPAN lanes in a block; channels with padding; of the batch */
    int threads;
    bool relu;
} norm_state;

static bool is_grad(const skv_kernel_node *n) {
    return skv_node_is(n->node, SKV_OP_BATCH_NORMALIZATION_GRAD) || skv_node_is(n->node, SKV_OP_FUSED_BATCH_NORM_GRAD);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[is_grad(n) ? 1 : 0].type;
    if (!is_grad(n) && skv_attr_int(n->node, "training_mode", 0) == 0) return skv_decline(why, "not in training");
    if (x->dtype != SKIVE_F32 || x->rank < 2) return skv_decline(why, "not float32 of rank 2 or more");
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent || n->in[i].type.dtype != SKIVE_F32)
            return skv_decline(why, "an input is missing or not float32");
    }
    for (int d = 0; d < x->rank; d++) {
        if (x->dims[d].size < 1) return skv_decline(why, "empty");
    }
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    norm_state *st = NULL;
    const size_t xi = is_grad(n) ? 1 : 0;
    const skv_isa isa = skv_cpu_isa();
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    const skv_layout layout = n->in[xi].layout;
    n->in[0].layout = n->in[xi].layout = n->out[0].layout = layout;
    if (n->n_in > 5) n->in[5].layout = layout;
    if (is_grad(n) && n->n_out > 3) n->out[3].layout = layout;
    st->x = skv_channels_of(&n->in[xi].type, layout);
    st->epsilon = skv_attr_float(n->node, "epsilon", 1e-5);
    st->momentum = skv_attr_float(n->node, "momentum", 0.9);
    st->relu = *skv_attr_string(n->node, "activation", "");
    st->loops = SKV_AT(isa, AVX512, &skv_norm_loops_avx512) SKV_AT(isa, AVX2, &skv_norm_loops_avx2)
        SKV_ELSE(isa, &skv_norm_loops_scalar);
    st->groups = (st->x.lanes + SPAN - 1) / SPAN;
    st->channels = st->x.blocks * st->x.lanes;
    st->pieces = st->x.n < PIECES ? st->x.n : PIECES;
    st->threads = st->x.n * st->x.batch_step < 32768 ? 1 : n->threads;
    n->in_place = is_grad(n) ? 3u : 1u | 1u << 5;
    /* Two sums of each piece, and three numbers of each channel. */
    size_t sums, numbers;
    if (!skv_mul_size((size_t)st->channels, 2 * PIECES * sizeof(double), &sums) ||
        !skv_mul_size((size_t)st->channels, 3 * sizeof(float), &numbers) ||
        !skv_add_size(sums, numbers, &n->scratch_bytes)) {
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too many channels");
    }
    return SKIVE_OK;
}

typedef struct norm_job {
    const skv_kernel_call *c;
    const norm_state *st;
    double *sums;     /* [piece][2][channels] */
    float *a, *b, *d; /* [channels] factors of the second pass; before it, the pivot or the mean stands in a */
} norm_job;

static const float *input(const skv_kernel_call *c, size_t i) { return i < c->n->n_in ? c->in[i] : NULL; }
static float *output(const skv_kernel_call *c, size_t i) { return i < c->n->n_out ? c->out[i] : NULL; }

/* The i-th run of lanes: where it starts within a sample, its first channel. */
static skv_norm_row run_of_lanes(const norm_state *st, int64_t i, int64_t *start, int64_t *channel) {
    const int64_t block = i / st->groups, lane = i % st->groups * SPAN, left = st->x.lanes - lane;
    *start = block * st->x.block_step + lane;
    *channel = block * st->x.lanes + lane;
    return (skv_norm_row){.positions = st->x.s, .step = st->x.position_step, .m = left < SPAN ? left : SPAN};
}

static void sum_piece(const norm_job *j, int64_t runs, int64_t i) {
    const norm_state *st = j->st;
    const int64_t piece = i / runs;
    int64_t start, channel;
    const skv_norm_row row = run_of_lanes(st, i % runs, &start, &channel);
    double *first = j->sums + piece * 2 * st->channels + channel, *second = first + st->channels;
    const bool grad = is_grad(j->c->n);
    const float *y = grad ? input(j->c, 5) : NULL;
    for (int64_t c = 0; c < row.m; c++) first[c] = second[c] = 0;
    for (int64_t n = st->x.n * piece / st->pieces; n < st->x.n * (piece + 1) / st->pieces; n++) {
        const int64_t at = n * st->x.batch_step + start;
        float p[SPAN], q[SPAN];
        if (grad) {
            st->loops->gradient_sums(&row, input(j->c, 0) + at, input(j->c, 1) + at, y ? y + at : NULL, j->a + channel,
                                     p, q);
        } else {
            st->loops->moments(&row, input(j->c, 0) + at, j->a + channel, p, q);
        }
        for (int64_t c = 0; c < row.m; c++) {
            first[c] += (double)p[c];
            second[c] += (double)q[c];
        }
    }
}

static void second_pass(const norm_job *j, int64_t runs, int64_t i) {
    const norm_state *st = j->st;
    int64_t start, channel;
    const skv_norm_row row = run_of_lanes(st, i % runs, &start, &channel);
    const int64_t at = i / runs * st->x.batch_step + start;
    const float *last = input(j->c, 5);
    if (is_grad(j->c->n)) {
        float *dx = output(j->c, 0), *dz = output(j->c, 3);
        st->loops->gradient(&row, input(j->c, 0) + at, input(j->c, 1) + at, last ? last + at : NULL, j->a + channel,
                            j->b + channel, j->d + channel, dx ? dx + at : NULL, dz ? dz + at : NULL);
    } else {
        st->loops->apply(&row, input(j->c, 0) + at, last ? last + at : NULL, j->a + channel, j->b + channel, st->relu,
                         output(j->c, 0) + at);
    }
}

/* Differences are taken from the channel's first element: near enough to the mean for the squares not to cancel. */
static void set_pivots(const norm_job *j) {
    const norm_state *st = j->st;
    const float *from = is_grad(j->c->n) ? input(j->c, 3) : NULL, *x = input(j->c, 0);
    for (int64_t c = 0; c < st->channels; c++) {
        const int64_t block = c / st->x.lanes;
        j->a[c] = c >= st->x.c ? 0.0f : from ? from[c] : x[block * st->x.block_step + c % st->x.lanes];
    }
}

static double total(const norm_job *j, int which, int64_t channel) {
    double sum = 0;
    for (int64_t p = 0; p < j->st->pieces; p++) sum += j->sums[(p * 2 + which) * j->st->channels + channel];
    return sum;
}

static void finish_forward(const norm_job *j, int64_t ch) {
    const norm_state *st = j->st;
    const skv_kernel_call *c = j->c;
    const double count = (double)(st->x.n * st->x.s), off = total(j, 0, ch) / count;
    const double m = (double)j->a[ch] + off, v = fmax(total(j, 1, ch) / count - off * off, 0);
    const double scale = (double)input(c, 1)[ch], inverse = 1.0 / sqrt(v + st->epsilon);
    if (output(c, 1)) output(c, 1)[ch] = (float)((double)input(c, 3)[ch] * st->momentum + m * (1 - st->momentum));
    if (output(c, 2)) output(c, 2)[ch] = (float)((double)input(c, 4)[ch] * st->momentum + v * (1 - st->momentum));
    if (output(c, 3)) output(c, 3)[ch] = (float)m;
    if (output(c, 4)) output(c, 4)[ch] = (float)inverse;
    j->a[ch] = (float)(scale * inverse);
    j->b[ch] = (float)((double)input(c, 2)[ch] - m * scale * inverse);
}

/* With r = inverse deviation, N = count: dscale = r sum(dy (x - mean)), dbias = sum dy,
 * dx = scale r (dy - dbias / N - (x - mean) r dscale / N). */
static void finish_backward(const norm_job *j, int64_t ch) {
    const skv_kernel_call *c = j->c;
    const double count = (double)(j->st->x.n * j->st->x.s), sum = total(j, 0, ch), m = (double)input(c, 3)[ch];
    const double r = (double)input(c, 4)[ch], g = (double)input(c, 2)[ch] * r, ds = total(j, 1, ch) * r;
    if (output(c, 1)) output(c, 1)[ch] = (float)ds;
    if (output(c, 2)) output(c, 2)[ch] = (float)sum;
    j->a[ch] = (float)g;
    j->b[ch] = (float)(-g * r * ds / count);
    j->d[ch] = (float)(g * (m * r * ds - sum) / count);
}

static skive_status run(const skv_kernel_call *c) {
    const norm_state *st = c->n->state;
    norm_job j = {.c = c, .st = st, .sums = c->scratch};
    j.a = (float *)(void *)(j.sums + st->channels * 2 * PIECES);
    j.b = j.a + st->channels;
    j.d = j.b + st->channels;
    const int64_t runs = st->x.blocks * st->groups, first_jobs = runs * st->pieces, second_jobs = runs * st->x.n;
    const int threads = st->threads;
    set_pivots(&j);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < first_jobs; i++) sum_piece(&j, runs, i);
#pragma omp single
        for (int64_t ch = 0; ch < st->channels; ch++) {
            if (ch >= st->x.c)
                j.a[ch] = j.b[ch] = j.d[ch] = 0; /* padding stays zero */
            else if (is_grad(c->n))
                finish_backward(&j, ch);
            else
                finish_forward(&j, ch);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < second_jobs; i++) second_pass(&j, runs, i);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_BATCH_NORMALIZATION, SKV_OP_BATCH_NORMALIZATION_GRAD, SKV_OP_FUSED_BATCH_NORM,
                                  SKV_OP_FUSED_BATCH_NORM_GRAD, SKV_OP_NONE};

const skv_kernel skv_kernel_norm_batch_f32 = {
    .name = "norm_batch_f32",
    .brief = "BatchNormalization in training and its gradient, with sum and Relu, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
