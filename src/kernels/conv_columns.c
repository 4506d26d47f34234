/* Convolution in f32 and its gradients, by the matrix product: windows become the columns of a matrix, some lines of
 * the output at a time. For what no direct kernel serves: groups, odd numbers of channels, large padding. A transposed
 * convolution whose weights come with the run is the gradient by the input, with a bias. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/finish.h"
#include "kernels/kernel.h"
#include "kernels/sgemm.h"
#include "ops/conv/common_conv_transpose.h"

enum { COLUMN_FLOATS = 1 << 17 };

typedef enum conv_kind { FORWARD, BY_INPUT, BY_WEIGHT } conv_kind;

typedef struct conv_state {
    conv_kind kind;
    skv_conv_shape s;
    skv_finish finish;
    int64_t k, places; /* of a group: elements of a window; output positions */
    int64_t lines;     /* output rows at a time */
    int threads;
    size_t columns, packed;             /* offsets into scratch */
    size_t column_floats, packed_bytes; /* of a thread */
} conv_state;

static bool is_transposed(const skive_node *n) { return skv_node_is(n, SKV_OP_CONV_TRANSPOSE); }

static conv_kind kind_of(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_CONV_GRAD_INPUT) || is_transposed(n)) return BY_INPUT;
    return skv_node_is(n, SKV_OP_CONV_GRAD_WEIGHT) ? BY_WEIGHT : FORWARD;
}

/* The values that stand for X, W and Y. */
static const skive_type *x_type(const skv_kernel_node *n) {
    if (is_transposed(n->node)) return &n->out[0].type;
    return &n->in[kind_of(n->node) == FORWARD ? 0 : kind_of(n->node) == BY_INPUT ? 2 : 1].type;
}
static const skive_type *w_type(const skv_kernel_node *n) { return &n->in[kind_of(n->node) == BY_WEIGHT ? 2 : 1].type; }

static skive_status shape_of(const skv_kernel_node *n, skv_conv_shape *s) {
    int64_t x[SKIVE_MAX_RANK], w[SKIVE_MAX_RANK];
    const skive_type *xt = is_transposed(n->node) ? &n->in[0].type : x_type(n), *wt = w_type(n);
    skv_type_sizes(xt, x);
    skv_type_sizes(wt, w);
    if (is_transposed(n->node)) return skv_conv_transpose_make(n->ctx, n->node, xt->rank, x, wt->rank, w, s);
    return skv_conv_shape_make(n->ctx, n->node, xt->rank, x, wt->rank, w, s);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    if (x_type(n)->rank < 3 || x_type(n)->rank > 2 + SKV_SPATIAL) return skv_decline(why, "rank %d", x_type(n)->rank);
    for (size_t i = 0; i < n->n_out; i++)
        if (!n->out[i].absent && !skv_kernel_f32(&n->out[i])) return skv_decline(why, "an empty output");
    return true;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    conv_state *st = state;
    st->kind = kind_of(n->node);
    SKV_TRY(shape_of(n, &st->s));
    if (st->kind == FORWARD) SKV_TRY(skv_finish_read(n, &st->finish));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    for (size_t i = 0; i < n->n_out; i++) n->out[i].layout = SKV_PLAIN;
    if (st->kind != FORWARD && !is_transposed(n->node)) n->skips_input_data[2] = true;
    const skv_geometry *g = &st->s.g;
    st->k = st->s.c / st->s.groups * skv_volume(g->kernel);
    st->places = skv_volume(g->out);
    st->lines = COLUMN_FLOATS / (st->k * g->out[2]);
    st->lines = st->lines < 1 ? 1 : st->lines > g->out[0] * g->out[1] ? g->out[0] * g->out[1] : st->lines;
    st->threads = st->places * st->k * st->s.m * st->s.n < 1 << 17 ? 1 : n->threads;
    const int64_t width = st->lines * g->out[2], channels = st->s.m / st->s.groups;
    int64_t most = st->k > width ? st->k : width;
    if (st->kind == BY_INPUT && channels > most) most = channels; /* what its product sums over */
    st->column_floats = skv_align_up((size_t)(st->k * width), 16);
    /* of a product by one thread; one by all of them needs no more than all of these */
    st->packed_bytes = skv_align_up(skv_sgemm_scratch(most, most, 1), 64);
    const size_t threads = (size_t)st->threads;
    SKV_TRY(skv_scratch_add(n, threads * st->column_floats * sizeof(float), &st->columns));
    return skv_scratch_add(n, threads * st->packed_bytes, &st->packed);
}

/* Output columns [lo, hi) whose tap kw lies inside the input. */
static void inside(const skv_geometry *g, int64_t kw, int64_t *lo, int64_t *hi) {
    const int64_t at = kw * g->dilation[2] - g->pad_lo[2];
    *lo = at < 0 ? (-at + g->stride[2] - 1) / g->stride[2] : 0;
    *hi = g->in[2] - at <= 0 ? 0 : (g->in[2] - at + g->stride[2] - 1) / g->stride[2];
    if (*hi > g->out[2]) *hi = g->out[2];
    if (*lo > *hi) *lo = *hi;
}

/* Between the image of a group and its matrix [k][rows * out columns]; `back` adds to the image. */
static void windows(const conv_state *st, float *image, int64_t row, int64_t rows, float *matrix, bool back) {
    const skv_geometry *g = &st->s.g;
    for (int64_t i = 0; i < st->k; i++) {
        const int64_t kw = i % g->kernel[2], kh = i / g->kernel[2] % g->kernel[1];
        const int64_t kd = i / g->kernel[2] / g->kernel[1] % g->kernel[0], c = i / skv_volume(g->kernel);
        int64_t lo, hi;
        inside(g, kw, &lo, &hi);
        for (int64_t r = 0; r < rows; r++, matrix += g->out[2]) {
            const int64_t oh = (row + r) % g->out[1], od = (row + r) / g->out[1], step = g->stride[2];
            const int64_t h = oh * g->stride[1] - g->pad_lo[1] + kh * g->dilation[1];
            const int64_t d = od * g->stride[0] - g->pad_lo[0] + kd * g->dilation[0];
            const bool outside = h < 0 || h >= g->in[1] || d < 0 || d >= g->in[0];
            if (outside && !back) memset(matrix, 0, (size_t)g->out[2] * sizeof *matrix);
            if (outside) continue;
            float *line = image + ((c * g->in[0] + d) * g->in[1] + h) * g->in[2];
            const int64_t at = kw * g->dilation[2] - g->pad_lo[2];
            if (back) {
                for (int64_t o = lo; o < hi; o++) line[at + o * step] += matrix[o];
                continue;
            }
            for (int64_t o = 0; o < lo; o++) matrix[o] = 0;
            if (step == 1 && hi > lo)
                memcpy(matrix + lo, line + at + lo, (size_t)(hi - lo) * sizeof *matrix);
            else
                for (int64_t o = lo; o < hi; o++) matrix[o] = line[at + o * step];
            for (int64_t o = hi; o < g->out[2]; o++) matrix[o] = 0;
        }
    }
}

static void finish(const conv_state *st, const float *z, float *y, int64_t n) {
    for (int64_t i = 0; z && i < n; i++) y[i] += z[i];
    skv_finish_run(&st->finish, y, n);
}

typedef struct piece {
    int64_t image, group;
    float *columns;
    void *packed;
    int threads; /* of the product */
} piece;

/* One group of one image. */
static void convolve(const conv_state *st, const skv_kernel_call *c, const piece *p) {
    const skv_conv_shape *s = &st->s;
    const int64_t m = s->m / s->groups, in = s->c / s->groups * skv_volume(s->g.in), width = s->g.out[2];
    const int64_t part = p->image * s->groups + p->group, wide = m * st->places;
    const bool weight = st->kind == BY_WEIGHT, forward = st->kind == FORWARD;
    const float *w = weight ? NULL : (const float *)c->in[1] + p->group * m * st->k;
    /* x is written by the gradient for it alone, y by the forward pass alone */
    const float *x = forward ? c->in[0] : weight ? c->in[1] : NULL, *dy = forward ? NULL : c->in[0];
    float *dx = st->kind == BY_INPUT ? (float *)c->out[0] + part * in : NULL, *y = forward ? c->out[0] : NULL;
    const float *bias = forward && skv_kernel_has_input(c->n, 2) ? (const float *)c->in[2] + p->group * m : NULL;
    for (int64_t i = 0; bias && i < m; i++)
        for (int64_t o = 0; o < st->places; o++) y[part * wide + i * st->places + o] = bias[i];
    if (dx) memset(dx, 0, (size_t)in * sizeof *dx);
    const int64_t lines = s->g.out[0] * s->g.out[1];
    for (int64_t row = 0; row < lines; row += st->lines) {
        const int64_t rows = lines - row < st->lines ? lines - row : st->lines, n = rows * width;
        const int64_t at = part * wide + row * width;
        skv_sgemm f = {.alpha = 1.0f};
        if (!dx) {
            float *from;
            const float *image = x + part * in;
            memcpy(&from, &image, sizeof from); /* read alone: `back` is false */
            windows(st, from, row, rows, p->columns, false);
        }
        if (forward) {
            f.m = m, f.n = n, f.k = st->k;
            f.a = w, f.lda = st->k;
            f.b = p->columns, f.ldb = n;
            f.add = bias != NULL;
            f.c = y + at, f.ldc = st->places;
        } else if (weight) {
            f.trans_b = true;
            f.m = m, f.n = st->k, f.k = n;
            f.a = dy + at, f.lda = st->places;
            f.b = p->columns, f.ldb = n;
            f.add = p->image > 0 || row > 0;
            f.c = (float *)c->out[0] + p->group * m * st->k, f.ldc = st->k;
        } else {
            f.trans_a = true;
            f.m = st->k, f.n = n, f.k = m;
            f.a = w, f.lda = st->k;
            f.b = dy + at, f.ldb = st->places;
            f.c = p->columns, f.ldc = n;
        }
        skv_sgemm_run(&f, p->threads, p->packed);
        if (dx) windows(st, dx, row, rows, p->columns, true);
    }
    if (dx && is_transposed(c->n->node) && skv_kernel_has_input(c->n, 2)) {
        const float *b = (const float *)c->in[2] + p->group * (s->c / s->groups);
        const int64_t plane = skv_volume(s->g.in);
        for (int64_t i = 0; i < in; i++) dx[i] += b[i / plane];
    }
    if (forward)
        finish(st, skv_kernel_has_input(c->n, 3) ? (const float *)c->in[3] + part * wide : NULL, y + part * wide, wide);
}

static void bias_gradient(const conv_state *st, const float *dy, float *db) {
    for (int64_t m = 0; m < st->s.m; m++) {
        double sum = 0;
        for (int64_t i = 0; i < st->s.n; i++)
            for (int64_t o = 0; o < st->places; o++) sum += (double)dy[(i * st->s.m + m) * st->places + o];
        db[m] = (float)sum;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const conv_state *st = c->n->state;
    /* Parts that write to places of their own: groups, and but for the weights' gradient images. */
    const int64_t images = st->s.n, groups = st->s.groups, parts = st->kind == BY_WEIGHT ? groups : images * groups;
    const bool apart = parts >= st->threads;
    const int threads = apart ? st->threads : 1;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < parts; i++) {
        const size_t t = (size_t)skv_thread_number();
        piece p = {.columns = (float *)(void *)((char *)c->scratch + st->columns) + t * st->column_floats,
                   .packed = (char *)c->scratch + st->packed + t * st->packed_bytes,
                   .threads = apart ? 1 : st->threads};
        p.group = st->kind == BY_WEIGHT ? i : i % groups;
        p.image = st->kind == BY_WEIGHT ? 0 : i / groups;
        for (; p.image < images; p.image++) {
            convolve(st, c, &p);
            if (st->kind != BY_WEIGHT) break;
        }
    }
    if (st->kind == BY_WEIGHT && c->n->n_out > 1 && c->out[1]) bias_gradient(st, c->in[0], c->out[1]);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(conv_state), set_up, destroy); }

static const skv_op_kind ops[] = {SKV_OP_FUSED_CONV,       SKV_OP_CONV,           SKV_OP_CONV_GRAD_INPUT,
                                  SKV_OP_CONV_GRAD_WEIGHT, SKV_OP_CONV_TRANSPOSE, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_columns_f32 = {
    .name = "conv_columns_f32",
    .brief = "convolution and its gradients by matrix products, where no direct kernel applies",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
