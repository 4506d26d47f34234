/* The gradients of a convolution of one group in f32, over values that stand with their channels last, by the matrix
 * product (conv_windows.h):
 *     by input    windows = dY w, block by block of rows, each added to where it was taken from
 *     by weight   dw = dY' windows, the sums of all blocks; each thread sums blocks of its own, and the threads' sums
 *                 are added in their order */
#include <string.h>

#include "base/parallel.h"
#include "kernels/conv_windows.h"
#include "kernels/sgemm.h"

enum {
    BLOCK_FLOATS = 1 << 15, /* of gathered rows: they stay in the second-level cache */
    LEAST_ROWS = 12,        /* a multiple of each tile's rows */
    MOST_ROWS = 384,
    MANY_WEIGHTS = 1 << 18,  /* that leave the cache from one block to the next: then as many rows as will do */
    PARALLEL_FROM = 1 << 17, /* multiplications */
};

typedef struct grad_state {
    skv_conv_shape s;
    bool by_weight, direct; /* direct: rows are those of the input */
    bool by_images;         /* each thread has images of its own, else the products are divided */
    int64_t images, units;  /* by input: images in a unit of work, and such units */
    int64_t k, rows, block; /* elements of a window; output positions of an image, or of all; of them at once */
    int threads;
    size_t turned, packed_w;                  /* offsets into scratch: the weight, or its gradient, by taps */
    size_t windows, sums, bias_sums, product; /* the same, of each thread */
    size_t window_floats, sum_floats, product_bytes;
} grad_state;

static bool by_weight(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_CONV_GRAD_WEIGHT); }
/* dY, W, X or dY, X, W. */
static size_t x_index(const skv_kernel_node *n) { return by_weight(n) ? 1 : 2; }
static size_t w_index(const skv_kernel_node *n) { return by_weight(n) ? 2 : 1; }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < 3; i++)
        if (!skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    if (n->in[0].type.rank < 3 || n->in[0].type.rank > 4) return skv_decline(why, "rank %d", n->in[0].type.rank);
    if (skv_attr_int(n->node, "group", 1) != 1) return skv_decline(why, "groups");
    return true;
}

static skive_status scratch_by_weight(skv_kernel_node *n, grad_state *st) {
    const size_t threads = (size_t)st->threads, weights = (size_t)(st->s.m * st->k);
    st->sum_floats = skv_align_up(weights, 16);
    SKV_TRY(skv_scratch_add(n, threads * st->sum_floats * sizeof(float), &st->sums));
    return skv_scratch_add(n, threads * (size_t)st->s.m * sizeof(double), &st->bias_sums);
}

static skive_status scratch_by_input(skv_kernel_node *n, grad_state *st) {
    const size_t weights = (size_t)(st->s.m * st->k);
    SKV_TRY(skv_scratch_add(n, weights * sizeof(float), &st->turned));
    return skv_scratch_add(n, skv_sgemm_packed(st->k, st->s.m) * sizeof(float), &st->packed_w);
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    grad_state *st = state;
    const skv_conv_shape *s = &st->s;
    SKV_TRY(skv_windows_shape(n, &n->in[x_index(n)].type, &n->in[w_index(n)].type, &st->s));
    st->by_weight = by_weight(n);
    st->direct = skv_windows_direct(&s->g);
    st->k = s->c * skv_volume(s->g.kernel);
    n->in[0].layout = SKV_NHWC;
    if (st->by_weight)
        n->in[1].layout = SKV_NHWC;
    else
        n->out[0].layout = SKV_NHWC;
    n->skips_input_data[2] = true;
    st->rows = skv_volume(s->g.out) * (st->by_weight ? s->n : 1);
    st->threads = skv_volume(s->g.out) * s->n * st->k * s->m < PARALLEL_FROM ? 1 : n->threads;
    st->block =
        st->by_weight && s->m * st->k > MANY_WEIGHTS ? MOST_ROWS : BLOCK_FLOATS / st->k / LEAST_ROWS * LEAST_ROWS;
    st->block = st->block < LEAST_ROWS ? LEAST_ROWS : st->block > MOST_ROWS ? MOST_ROWS : st->block;
    st->images = st->block / st->rows < 1 ? 1 : st->block / st->rows;
    st->units = (s->n + st->images - 1) / st->images;
    st->by_images = st->units >= st->threads;
    st->window_floats = st->direct ? 0 : skv_align_up((size_t)(st->block * st->k), 16);
    const size_t threads = (size_t)st->threads;
    SKV_TRY(skv_scratch_add(n, threads * st->window_floats * sizeof(float), &st->windows));
    SKV_TRY(st->by_weight ? scratch_by_weight(n, st) : scratch_by_input(n, st));
    /* of a product by one thread; one by all of them needs no more than all of these */
    st->product_bytes = skv_align_up(skv_sgemm_scratch(st->k, st->by_weight ? st->block : s->m, 1), 64);
    return skv_scratch_add(n, threads * st->product_bytes, &st->product);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(grad_state), set_up, destroy); }

static float *floats_at(const skv_kernel_call *c, size_t offset) {
    return (float *)(void *)((char *)c->scratch + offset);
}

/* ---- by input ---- */

static void unit_by_input(const grad_state *st, const skv_kernel_call *c, int64_t unit, size_t thread, int threads) {
    const skv_conv_shape *s = &st->s;
    const int64_t first = unit * st->images, images = s->n - first < st->images ? s->n - first : st->images;
    const int64_t end = (first + images) * st->rows, plane = skv_volume(s->g.in) * s->c;
    float *windows = floats_at(c, st->windows) + thread * st->window_floats, *dx = c->out[0];
    if (!st->direct) memset(dx + first * plane, 0, (size_t)(images * plane) * sizeof *dx);
    for (int64_t row = first * st->rows; row < end; row += st->block) {
        const int64_t rows = end - row < st->block ? end - row : st->block;
        const skv_sgemm product = {.m = rows,
                                   .n = st->k,
                                   .k = s->m,
                                   .a = (const float *)c->in[0] + row * s->m,
                                   .lda = s->m,
                                   .ldb = st->k,
                                   .ldc = st->k,
                                   .c = st->direct ? dx + row * st->k : windows,
                                   .alpha = 1,
                                   .packed = floats_at(c, st->packed_w)};
        skv_sgemm_run(&product, threads, (char *)c->scratch + st->product + thread * st->product_bytes);
        if (!st->direct) skv_windows_add(s, windows, row, rows, dx);
    }
}

static void run_by_input(const grad_state *st, const skv_kernel_call *c) {
    const skv_conv_shape *s = &st->s;
    float *turned = floats_at(c, st->turned);
    skv_windows_turn(s->m, s->c, st->k / s->c, c->in[1], turned);
    skv_sgemm_pack(false, st->k, s->m, turned, st->k, floats_at(c, st->packed_w));
    const int threads = st->by_images ? st->threads : 1;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->units; i++)
        unit_by_input(st, c, i, (size_t)skv_thread_number(), st->by_images ? 1 : st->threads);
}

/* ---- by weight ---- */

static void add_bias(const float *dy, int64_t rows, int64_t m, double *sums) {
    for (int64_t r = 0; r < rows; r++, dy += m) {
#pragma omp simd
        for (int64_t i = 0; i < m; i++) sums[i] += (double)dy[i];
    }
}

/* Blocks [from, to), summed into the thread's own place. */
static void blocks_by_weight(const grad_state *st, const skv_kernel_call *c, int thread, int64_t from, int64_t to) {
    const skv_conv_shape *s = &st->s;
    const size_t t = (size_t)thread;
    float *windows = floats_at(c, st->windows) + t * st->window_floats;
    float *sums = floats_at(c, st->sums) + t * st->sum_floats;
    double *bias = (double *)(void *)((char *)c->scratch + st->bias_sums) + (int64_t)thread * s->m;
    memset(bias, 0, (size_t)s->m * sizeof *bias);
    if (from == to) memset(sums, 0, (size_t)(s->m * st->k) * sizeof *sums);
    for (int64_t i = from; i < to; i++) {
        const int64_t row = i * st->block, rows = st->rows - row < st->block ? st->rows - row : st->block;
        const float *x = c->in[1], *dy = (const float *)c->in[0] + row * s->m;
        if (!st->direct) skv_windows_gather(s, x, row, rows, windows);
        const skv_sgemm product = {.trans_a = true,
                                   .m = s->m,
                                   .n = st->k,
                                   .k = rows,
                                   .a = dy,
                                   .b = st->direct ? x + row * st->k : windows,
                                   .lda = s->m,
                                   .ldb = st->k,
                                   .ldc = st->k,
                                   .c = sums,
                                   .alpha = 1,
                                   .add = i > from};
        skv_sgemm_run(&product, 1, (char *)c->scratch + st->product + t * st->product_bytes);
        add_bias(dy, rows, s->m, bias);
    }
}

static void run_by_weight(const grad_state *st, const skv_kernel_call *c) {
    const skv_conv_shape *s = &st->s;
    const int threads = st->threads;
    const int64_t blocks = (st->rows + st->block - 1) / st->block;
    float *sums = floats_at(c, st->sums);
    double *bias = (double *)(void *)((char *)c->scratch + st->bias_sums);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) blocks_by_weight(st, c, t, blocks * t / threads, blocks * (t + 1) / threads);
    for (int t = 1; t < threads; t++) {
        const float *more = sums + (size_t)t * st->sum_floats;
        for (int64_t i = 0; i < s->m * st->k; i++) sums[i] += more[i];
        for (int64_t i = 0; i < s->m; i++) bias[i] += bias[t * s->m + i];
    }
    skv_windows_turn_back(s->m, s->c, st->k / s->c, sums, c->out[0]);
    float *db = c->n->n_out > 1 ? c->out[1] : NULL;
    for (int64_t i = 0; db && i < s->m; i++) db[i] = (float)bias[i];
}

static skive_status run(const skv_kernel_call *c) {
    const grad_state *st = c->n->state;
    if (st->by_weight)
        run_by_weight(st, c);
    else
        run_by_input(st, c);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_CONV_GRAD_INPUT, SKV_OP_CONV_GRAD_WEIGHT, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_rows_gradient_f32 = {
    .name = "conv_rows_gradient_f32",
    .brief = "gradients of convolution by input, weight and bias, by the matrix product with channels last",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
