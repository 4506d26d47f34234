/* Convolution in f32 over values that stand with their channels last, by the matrix product: the windows of output
 * positions (conv_windows.h) times the weights, which are packed once where they are constant. Bias, residual and
 * activation are applied block by block of rows. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/conv_windows.h"
#include "kernels/finish.h"
#include "kernels/sgemm.h"

enum {
    BLOCK_FLOATS = 1 << 15, /* of gathered rows: they stay in the second-level cache */
    LANES = 16,             /* positions of a line worth being columns */
    LEAST_ROWS = 12,        /* a multiple of each tile's rows */
    MOST_ROWS = 96,
    PARALLEL_FROM = 1 << 17, /* multiplications */
};

typedef struct conv_state {
    skv_conv_shape s;
    skv_finish finish;
    int64_t k, rows, block; /* elements of a window; output positions of all images; of them at once */
    bool direct;            /* rows are those of the input */
    bool slides;            /* windows lie along a line: each row is so many numbers of it, and rows overlap */
    bool has_bias, adds;
    float *w;               /* packed; NULL: at every run */
    size_t w_at, turned_at; /* in scratch then */
    int threads;
    size_t gathered, packed;              /* offsets into scratch */
    size_t gathered_floats, packed_bytes; /* of a thread */
} conv_state;

/* Is the product better made the other way round, output positions as its columns (conv_columns_f32)? Where few
 * channels go in, the windows of rows would be gathered number by number; where few come out, a tile stays half empty.
 * Measured on AVX-512: half of the time and less, but for strides, at which columns are gathered so too. */
static bool suits_columns(const skv_kernel_node *n) {
    enum { FEW_IN = 4, FEW_OUT = 20, LEAST_PLACES = 64, LONGEST = 1 << 10 };
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type, *y = &n->out[0].type;
    const int64_t places = skv_type_count(y) / y->dims[0].size / y->dims[1].size;
    const int64_t window = skv_type_count(w) / w->dims[0].size;
    if (n->node->domain[0] && skv_kernel_has_input(n, 3)) return false; /* keep the layout of what is added */
    if (places < LEAST_PLACES || window > LONGEST || y->dims[y->rank - 1].size < LANES) return false;
    return x->dims[1].size < FEW_IN || (w->dims[0].size <= FEW_OUT && x->dims[1].size <= FEW_OUT);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    if (!skv_kernel_f32(&n->out[0])) return skv_decline(why, "an empty output");
    if (n->in[0].type.rank < 3 || n->in[0].type.rank > 2 + SKV_SPATIAL)
        return skv_decline(why, "rank %d", n->in[0].type.rank);
    if (skv_attr_int(n->node, "group", 1) != 1) return skv_decline(why, "groups");
    if (!n->training && suits_columns(n)) return skv_decline(why, "few channels, of which columns are made faster");
    return true;
}

/* The weights [m][c][taps] as rows [m][taps][c], and these packed: once where they are constant. */
static skive_status pack(skv_kernel_node *n, conv_state *st) {
    const int64_t m = st->s.m, c = st->s.c, taps = st->k / c;
    const size_t bytes = skv_sgemm_packed(m, st->k) * sizeof(float);
    float *turned = NULL;
    if (!n->in[1].constant) {
        SKV_TRY(skv_scratch_add(n, bytes, &st->w_at));
        return taps > 1 ? skv_scratch_add(n, (size_t)(m * st->k) * sizeof(float), &st->turned_at) : SKIVE_OK;
    }
    const float *w = n->in[1].constant->data;
    n->state_bytes = bytes;
    SKV_TRY(skv_arena_alloc(n->weights, n->state_bytes, &st->w));
    n->packs_input[1] = true;
    if (taps > 1) {
        SKV_TRY(skv_alloc_array(n->ctx, (size_t)m, (size_t)st->k * sizeof *turned, &turned));
        skv_windows_turn(m, c, taps, w, turned);
    }
    skv_sgemm_pack(true, m, st->k, turned ? turned : w, st->k, st->w);
    skv_free(n->ctx, turned);
    return SKIVE_OK;
}

static const float *pack_now(const conv_state *st, const skv_kernel_call *call) {
    const int64_t m = st->s.m, c = st->s.c, taps = st->k / c;
    float *packed = (float *)(void *)((char *)call->scratch + st->w_at);
    float *turned = (float *)(void *)((char *)call->scratch + st->turned_at);
    if (taps > 1) skv_windows_turn(m, c, taps, call->in[1], turned);
    skv_sgemm_pack(true, m, st->k, taps > 1 ? turned : call->in[1], st->k, packed);
    return packed;
}

enum { LINE = SKV_SPATIAL - 1 }; /* the axis of lines */

/* Are the numbers of a window behind one another in the input? */
static bool slides_along(const skv_geometry *g) {
    for (int a = 0; a < LINE; a++)
        if (g->kernel[a] != 1 || g->pad_lo[a] != 0 || g->pad_hi[a] != 0) return false;
    return g->kernel[LINE] > 1 && g->dilation[LINE] == 1;
}

/* The numbers from which on the windows of `rows` positions of a line are read: the input's own, or a copy with zeros
 * where the window reaches beyond the line. */
static const float *line_of(const conv_state *st, const float *x, int64_t line, int64_t first, int64_t rows,
                            float *copy) {
    const skv_geometry *g = &st->s.g;
    int64_t at = 0, inner = 1, rest = line;
    for (int a = LINE - 1; a >= 0; a--) { /* the input line of an output line, which strides may leave out */
        at += rest % g->out[a] * g->stride[a] * inner;
        rest /= g->out[a];
        inner *= g->in[a];
    }
    const int64_t c = st->s.c, width = g->in[LINE], from = first * g->stride[LINE] - g->pad_lo[LINE],
                  to = (first + rows - 1) * g->stride[LINE] - g->pad_lo[LINE] + g->kernel[LINE];
    const float *whole = x + (rest * inner + at) * width * c;
    if (from >= 0 && to <= width) return whole + from * c;
    const int64_t low = from < 0 ? 0 : from, high = to > width ? width : to;
    if (high <= low) {
        memset(copy, 0, (size_t)((to - from) * c) * sizeof *copy);
        return copy;
    }
    memset(copy, 0, (size_t)((low - from) * c) * sizeof *copy);
    memcpy(copy + (low - from) * c, whole + low * c, (size_t)((high - low) * c) * sizeof *copy);
    memset(copy + (high - from) * c, 0, (size_t)((to - high) * c) * sizeof *copy);
    return copy;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    conv_state *st = state;
    SKV_TRY(skv_windows_shape(n, &n->in[0].type, &n->in[1].type, &st->s));
    SKV_TRY(skv_finish_read(n, &st->finish));
    const skv_geometry *g = &st->s.g;
    st->k = st->s.c * skv_volume(g->kernel);
    st->rows = st->s.n * skv_volume(g->out);
    st->direct = skv_windows_direct(g);
    st->has_bias = skv_kernel_has_input(n, 2);
    st->adds = skv_kernel_has_input(n, 3);
    SKV_TRY(pack(n, st));
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    if (st->adds) {
        n->in[3].layout = SKV_NHWC;
        n->in_place = 1u << 3; /* a block is read before it is written */
    }
    st->slides = !st->direct && slides_along(g);
    const int64_t row = st->slides ? g->stride[LINE] * st->s.c : st->k; /* new numbers of a row */
    st->block = BLOCK_FLOATS / row / LEAST_ROWS * LEAST_ROWS;
    st->block = st->block < LEAST_ROWS ? LEAST_ROWS : st->block > MOST_ROWS ? MOST_ROWS : st->block;
    st->threads = st->rows * st->k * st->s.m < PARALLEL_FROM ? 1 : n->threads;
    st->gathered_floats = st->direct ? 0 : skv_align_up((size_t)((st->block - 1) * row + st->k), 16);
    st->packed_bytes = skv_align_up(skv_sgemm_scratch(st->s.m, st->k, 1), 64);
    SKV_TRY(skv_scratch_add(n, (size_t)st->threads * st->gathered_floats * sizeof(float), &st->gathered));
    return skv_scratch_add(n, (size_t)st->threads * st->packed_bytes, &st->packed);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(conv_state), set_up, destroy); }

static skive_status run(const skv_kernel_call *call) {
    const conv_state *st = call->n->state;
    const int64_t m = st->s.m, width = st->slides ? st->s.g.out[LINE] : st->rows; /* rows that are of one line */
    const int64_t of_line = (width + st->block - 1) / st->block, blocks = width ? st->rows / width * of_line : 0;
    const float *x = call->in[0], *bias = st->has_bias ? call->in[2] : NULL;
    const float *w = st->w ? st->w : pack_now(st, call);
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t line = i / of_line, in_line = i % of_line * st->block, first = line * width + in_line;
        const int64_t rows = width - in_line < st->block ? width - in_line : st->block;
        const size_t t = (size_t)skv_thread_number();
        float *gathered = (float *)(void *)((char *)call->scratch + st->gathered) + t * st->gathered_floats;
        float *y = (float *)call->out[0] + first * m;
        const float *a = st->slides   ? line_of(st, x, line, in_line, rows, gathered)
                         : st->direct ? x + first * st->k
                                      : gathered;
        if (a == gathered && !st->slides) skv_windows_gather(&st->s, x, first, rows, gathered);
        skv_start_rows(bias, st->adds ? (const float *)call->in[3] + first * m : NULL, y, rows, m);
        const skv_sgemm product = {.trans_b = true,
                                   .m = rows,
                                   .n = m,
                                   .k = st->k,
                                   .a = a,
                                   .lda = st->slides ? st->s.g.stride[LINE] * st->s.c : st->k,
                                   .ldb = st->k,
                                   .ldc = m,
                                   .c = y,
                                   .alpha = 1,
                                   .add = bias || st->adds,
                                   .packed = w};
        skv_sgemm_run(&product, 1, (char *)call->scratch + st->packed + t * st->packed_bytes);
        skv_finish_run(&st->finish, y, rows * m);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_FUSED_CONV, SKV_OP_CONV, SKV_OP_NONE};

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
