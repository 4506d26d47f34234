/* LRN and LpNormalization in f32, plain: strips of columns beside the axis at once. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/kernel.h"

enum { STRIP = 256, PARALLEL_FROM = 1 << 14 };

typedef struct norm_state {
    int64_t outer, length, inner;
    bool local; /* LRN */
    int64_t before, behind;
    float alpha, beta, bias;
    bool squares; /* LpNormalization of order 2 */
    int threads;
} norm_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_kernel_f32(&n->in[0])) return skv_decline(why, "not float32, or empty");
    return n->in[0].type.rank > 0 ? true : skv_decline(why, "a scalar");
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    norm_state *st = state;
    const skive_type *x = &n->in[0].type;
    n->in[0].layout = n->out[0].layout = SKV_PLAIN;
    st->local = skv_node_is(n->node, SKV_OP_LRN);
    const int axis = st->local ? 1 : (int)skv_axis(skv_attr_int(n->node, "axis", -1), x->rank);
    skv_around_axis(x, axis, &st->outer, &st->length, &st->inner);
    const int64_t size = skv_attr_int(n->node, "size", 1);
    st->before = (size - 1) / 2;
    st->behind = size - 1 - st->before;
    st->alpha = (float)(skv_attr_float(n->node, "alpha", 1e-4) / (double)size);
    st->beta = (float)skv_attr_float(n->node, "beta", 0.75);
    st->bias = (float)skv_attr_float(n->node, "bias", 1);
    st->squares = skv_attr_int(n->node, "p", 2) == 2;
    st->threads = skv_type_count(x) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(norm_state), set_up, destroy); }

/* y = x / sum^beta; the exponents that networks have by roots alone. */
static void divide_by_power(const float *x, const float *sum, float beta, float *y, int64_t w) {
    if (beta == 0.75f) {
#pragma omp simd
        for (int64_t i = 0; i < w; i++) {
            const float root = sqrtf(sum[i]);
            y[i] = x[i] / (root * sqrtf(root));
        }
    } else if (beta == 0.5f) {
#pragma omp simd
        for (int64_t i = 0; i < w; i++) y[i] = x[i] / sqrtf(sum[i]);
    } else if (beta == 1.0f) {
        for (int64_t i = 0; i < w; i++) y[i] = x[i] / sum[i];
    } else {
        for (int64_t i = 0; i < w; i++) y[i] = (float)((double)x[i] / pow((double)sum[i], (double)beta));
    }
}

/* One channel of a strip; x is its first element of channel 0. */
static void local_line(const norm_state *st, const float *x, float *y, int64_t channel, int64_t w) {
    const int64_t first = channel > st->before ? channel - st->before : 0,
                  last = st->behind < st->length - 1 - channel ? channel + st->behind : st->length - 1;
    float sum[STRIP];
    memset(sum, 0, (size_t)w * sizeof *sum);
    for (int64_t k = first; k <= last; k++) {
        const float *from = x + k * st->inner;
        for (int64_t i = 0; i < w; i++) sum[i] += from[i] * from[i];
    }
    for (int64_t i = 0; i < w; i++) sum[i] = st->bias + st->alpha * sum[i];
    divide_by_power(x + channel * st->inner, sum, st->beta, y + channel * st->inner, w);
}

/* One line of neighbours, whose sum is not a column's. */
static void norm_line(const norm_state *st, const float *x, float *y) {
    double sum = 0;
    if (st->squares) {
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < st->length; k++) sum += (double)x[k] * (double)x[k];
        sum = sqrt(sum);
    } else {
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < st->length; k++) sum += fabs((double)x[k]);
    }
    for (int64_t k = 0; k < st->length; k++) y[k] = sum == 0 ? x[k] : (float)((double)x[k] / sum);
}

static void norm_columns(const norm_state *st, const float *x, float *y, int64_t w) {
    double sum[STRIP] = {0};
    for (int64_t k = 0; k < st->length; k++) {
        const float *from = x + k * st->inner;
        if (st->squares)
            for (int64_t i = 0; i < w; i++) sum[i] += (double)from[i] * (double)from[i];
        else
            for (int64_t i = 0; i < w; i++) sum[i] += fabs((double)from[i]);
    }
    for (int64_t i = 0; i < w; i++) {
        if (st->squares) sum[i] = sqrt(sum[i]);
        if (sum[i] == 0) sum[i] = 1; /* a line of zeros is unchanged */
    }
    for (int64_t k = 0; k < st->length; k++) {
        const float *from = x + k * st->inner;
        float *to = y + k * st->inner;
        for (int64_t i = 0; i < w; i++) to[i] = (float)((double)from[i] / sum[i]);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const norm_state *st = c->n->state;
    const int threads = st->threads;
    const int64_t strips = (st->inner + STRIP - 1) / STRIP;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->outer * strips; i++) {
        const int64_t column = i % strips * STRIP, w = st->inner - column < STRIP ? st->inner - column : STRIP;
        const int64_t at = i / strips * st->length * st->inner + column;
        const float *x = (const float *)c->in[0] + at;
        float *y = (float *)c->out[0] + at;
        if (st->local)
            for (int64_t channel = 0; channel < st->length; channel++) local_line(st, x, y, channel, w);
        else if (st->inner == 1)
            norm_line(st, x, y);
        else
            norm_columns(st, x, y, w);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_LRN, SKV_OP_LP_NORMALIZATION, SKV_OP_NONE};

const skv_kernel skv_kernel_norm_lines_f32 = {
    .name = "norm_lines_f32",
    .brief = "LRN, and LpNormalization over any axis, columns side by side",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
