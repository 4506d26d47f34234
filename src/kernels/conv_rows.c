/* Convolution in f32 over values that stand with their channels last, by the matrix product: a row is the window of one
 * output position, its elements in the order [tap][channel], and the weights, packed once, are the second matrix. The
 * rows of a window of one element are those of the input. Bias, residual and activation are applied block by block of
 * rows. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/finish.h"
#include "kernels/kernel.h"
#include "kernels/sgemm.h"
#include "ops/common_conv.h"

enum {
    BLOCK_FLOATS = 1 << 15, /* of gathered rows: they stay in the second-level cache */
    LEAST_ROWS = 12,        /* a multiple of each tile's rows */
    MOST_ROWS = 96,
    PARALLEL_FROM = 1 << 17, /* multiplications */
};

typedef struct conv_state {
    skv_conv_shape s;
    skv_finish finish;
    int64_t k, rows, block; /* elements of a window; output positions of all images; of them at once */
    bool direct;            /* rows are those of the input */
    bool has_bias, adds;
    float *w; /* packed */
    int threads;
    size_t gathered, packed;              /* offsets into scratch */
    size_t gathered_floats, packed_bytes; /* of a thread */
} conv_state;

static bool has_input(const skv_kernel_node *n, size_t i) { return i < n->n_in && !n->in[i].absent; }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    if (!skv_kernel_f32(&n->out[0])) return skv_decline(why, "an empty output");
    if (n->in[0].type.rank < 3 || n->in[0].type.rank > 4) return skv_decline(why, "rank %d", n->in[0].type.rank);
    if (skv_attr_int(n->node, "group", 1) != 1) return skv_decline(why, "groups");
    if (n->training || !n->in[1].constant) return skv_decline(why, "the weights are not constant");
    return true;
}

static skive_status shape_of(const skv_kernel_node *n, skv_conv_shape *s) {
    int64_t x[SKIVE_MAX_RANK], w[SKIVE_MAX_RANK];
    const skive_type *xt = &n->in[0].type, *wt = &n->in[1].type;
    for (int d = 0; d < xt->rank; d++) x[d] = xt->dims[d].size;
    for (int d = 0; d < wt->rank; d++) w[d] = wt->dims[d].size;
    return skv_conv_shape_make(n->ctx, n->node, xt->rank, x, wt->rank, w, s);
}

/* The weights [m][c][taps] as rows [m][taps][c], and these packed. */
static skive_status pack(skv_kernel_node *n, conv_state *st) {
    const int64_t m = st->s.m, c = st->s.c, taps = st->k / c;
    const float *w = n->in[1].constant->data;
    float *turned = NULL;
    n->state_bytes = skv_sgemm_packed(m, st->k) * sizeof(float);
    SKV_TRY(skv_arena_alloc(n->weights, n->state_bytes, &st->w));
    n->packs_input[1] = true;
    if (taps > 1) {
        SKV_TRY(skv_alloc_array(n->ctx, (size_t)m, (size_t)st->k * sizeof *turned, &turned));
        for (int64_t i = 0; i < m * st->k; i++) turned[i] = w[(i / st->k * c + i % c) * taps + i % st->k / c];
    }
    skv_sgemm_pack(true, m, st->k, turned ? turned : w, st->k, st->w);
    skv_free(n->ctx, turned);
    return SKIVE_OK;
}

static bool is_direct(const skv_geometry *g) {
    for (int a = 0; a < SKV_SPATIAL; a++)
        if (g->kernel[a] != 1 || g->stride[a] != 1 || g->in[a] != g->out[a] || g->pad_lo[a]) return false;
    return true;
}

static skive_status set_up(skv_kernel_node *n, conv_state *st) {
    SKV_TRY(shape_of(n, &st->s));
    SKV_TRY(skv_finish_read(n, &st->finish));
    const skv_geometry *g = &st->s.g;
    st->k = st->s.c * skv_volume(g->kernel);
    st->rows = st->s.n * skv_volume(g->out);
    st->direct = is_direct(g);
    st->has_bias = has_input(n, 2);
    st->adds = has_input(n, 3);
    SKV_TRY(pack(n, st));
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    if (st->adds) {
        n->in[3].layout = SKV_NHWC;
        n->in_place = 1u << 3; /* a block is read before it is written */
    }
    st->block = BLOCK_FLOATS / st->k / LEAST_ROWS * LEAST_ROWS;
    st->block = st->block < LEAST_ROWS ? LEAST_ROWS : st->block > MOST_ROWS ? MOST_ROWS : st->block;
    st->threads = st->rows * st->k * st->s.m < PARALLEL_FROM ? 1 : n->threads;
    st->gathered_floats = st->direct ? 0 : skv_align_up((size_t)(st->block * st->k), 16);
    st->packed_bytes = skv_align_up(skv_sgemm_scratch(st->s.m, st->k, 1), 64);
    SKV_TRY(skv_scratch_add(n, (size_t)st->threads * st->gathered_floats * sizeof(float), &st->gathered));
    return skv_scratch_add(n, (size_t)st->threads * st->packed_bytes, &st->packed);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) {
    conv_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    const skive_status status = set_up(n, st);
    if (status == SKIVE_OK)
        n->state = st;
    else
        destroy(n->ctx, st);
    return status;
}

/* One tap's line of the window: taps [lo, hi) of it lie inside. */
static float *gather_line(const skv_geometry *g, const float *line, int64_t at, int64_t lo, int64_t hi, int64_t c,
                          float *to) {
    const int64_t taps = g->kernel[2];
    if (!line || hi <= lo) {
        memset(to, 0, (size_t)(taps * c) * sizeof *to);
        return to + taps * c;
    }
    memset(to, 0, (size_t)(lo * c) * sizeof *to);
    to += lo * c;
    if (g->dilation[2] == 1) {
        memcpy(to, line + (at + lo) * c, (size_t)((hi - lo) * c) * sizeof *to);
        to += (hi - lo) * c;
    } else {
        for (int64_t k = lo; k < hi; k++, to += c)
            memcpy(to, line + (at + k * g->dilation[2]) * c, (size_t)c * sizeof *to);
    }
    memset(to, 0, (size_t)((taps - hi) * c) * sizeof *to);
    return to + (taps - hi) * c;
}

static void gather(const conv_state *st, const float *x, int64_t first, int64_t rows, float *to) {
    const skv_geometry *g = &st->s.g;
    const int64_t c = st->s.c, places = skv_volume(g->out);
    for (int64_t r = first; r < first + rows; r++) {
        const skv_window w = skv_window_at(g, r % places);
        const float *image = x + r / places * skv_volume(g->in) * c;
        for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
            const bool there = kh >= w.lo[1] && kh < w.hi[1];
            const float *line = image + (w.start[1] + kh * g->dilation[1]) * g->in[2] * c;
            to = gather_line(g, there ? line : NULL, w.start[2], w.lo[2], w.hi[2], c, to);
        }
    }
}

static skive_status run(const skv_kernel_call *call) {
    const conv_state *st = call->n->state;
    const int64_t m = st->s.m, blocks = (st->rows + st->block - 1) / st->block;
    const float *x = call->in[0], *bias = st->has_bias ? call->in[2] : NULL;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t first = i * st->block, rows = st->rows - first < st->block ? st->rows - first : st->block;
        const size_t t = (size_t)skv_thread_number();
        float *gathered = (float *)(void *)((char *)call->scratch + st->gathered) + t * st->gathered_floats;
        float *y = (float *)call->out[0] + first * m;
        if (!st->direct) gather(st, x, first, rows, gathered);
        skv_start_rows(bias, st->adds ? (const float *)call->in[3] + first * m : NULL, y, rows, m);
        const skv_sgemm product = {.trans_b = true,
                                   .m = rows,
                                   .n = m,
                                   .k = st->k,
                                   .a = st->direct ? x + first * st->k : gathered,
                                   .lda = st->k,
                                   .ldb = st->k,
                                   .ldc = m,
                                   .c = y,
                                   .alpha = 1,
                                   .add = bias || st->adds,
                                   .packed = st->w};
        skv_sgemm_run(&product, 1, (char *)call->scratch + st->packed + t * st->packed_bytes);
        skv_finish_run(&st->finish, y, rows * m);
    }
    return SKIVE_OK;
}

static const char *const ops[] = {"FusedConv", "Conv", NULL};

const skv_kernel skv_kernel_conv_rows_f32 = {
    .name = "conv_rows_f32",
    .brief = "convolution, residual and activation in one, by the matrix product with channels last",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
