/* FakeQuantize and FakeQuantizeGrad of f32 on integer grids, with one scale in any layout, or one a channel. The sums
 * of the gradient of a scale are made of parts of a size that does not depend on the number of threads. */
#include "kernels/fake_quantize.h"

#include <math.h>

#include "kernels/kernel.h"
#include "ops/quant/common_quantize.h"

enum {
    CHUNK = 1 << 13,
    COLUMNS = 256,
    ROUND_ZERO = SKV_FAKE_ZERO,
    GRAD_DY = 1,
    GRAD_SCALE = 2,
    GRAD_ZERO = 3,
    GRAD_COUNT = 4
};

typedef struct fake_state {
    skv_fake f;
    const skv_fake_loops *loops;
    float low, high;
    int64_t outer, length, inner; /* length 1: one scale */
    int64_t count, chunks;
    bool gradient;
} fake_state;

static bool is_gradient(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_FAKE_QUANTIZE_GRAD); }

static const skv_kernel_value *input(const skv_kernel_node *n, size_t i) {
    return skv_kernel_has_input(n, i) ? &n->in[i] : NULL;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_fake f;
    const bool gradient = is_gradient(n);
    const skv_kernel_value *scale = input(n, gradient ? GRAD_SCALE : SKV_FAKE_SCALE),
                           *zero = input(n, gradient ? GRAD_ZERO : ROUND_ZERO);
    if (!skv_kernel_f32(&n->in[0]) || (gradient && !skv_kernel_f32(&n->in[GRAD_DY])))
        return skv_decline(why, "not float32");
    if (!scale) return skv_decline(why, "it finds its own scales");
    if (scale->type.dtype != SKIVE_F32) return skv_decline(why, "a scale of 16 bits");
    if (skv_attr_int(n->node, "block_size", 0)) return skv_decline(why, "scales of blocks");
    if (skv_fake_of(n->ctx, n->node, true, &f) != SKIVE_OK || !f.q.grid->uniform || f.q.grid->bits > 16)
        return skv_decline(why, "not an integer grid");
    if (!gradient && n->n_out > 1 && !n->out[1].absent && skv_type_count(&scale->type) != 1)
        return skv_decline(why, "several scales that follow what they see");
    if (f.tanh) return skv_decline(why, "a transform in front");
    if (zero && (!zero->constant || skive_tensor_count(zero->constant) != 1))
        return skv_decline(why, "several zero points");
    return true;
}

static void see_channels(fake_state *st, const skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type;
    st->outer = 1;
    st->length = 1;
    st->inner = skv_type_count(x);
    if (skv_type_count(&n->in[is_gradient(n) ? GRAD_SCALE : SKV_FAKE_SCALE].type) == 1) return;
    const int axis = (int)skv_axis(skv_attr_int(n->node, "axis", 1), x->rank);
    st->length = x->dims[axis].size;
    st->inner = 1;
    for (int a = 0; a < x->rank; a++) {
        if (a < axis) st->outer *= x->dims[a].size;
        if (a > axis) st->inner *= x->dims[a].size;
    }
}

static skive_status prepare(skv_kernel_node *n) {
    fake_state *st = NULL;
    size_t bytes, at;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    SKV_TRY(skv_fake_of(n->ctx, n->node, true, &st->f));
    const skv_isa isa = skv_cpu_isa();
    st->loops = SKV_AT(isa, AVX512, &skv_fake_avx512) SKV_AT(isa, AVX2, &skv_fake_avx2) SKV_ELSE(isa, &skv_fake_scalar);
    st->gradient = is_gradient(n);
    const skv_kernel_value *zero = input(n, st->gradient ? GRAD_ZERO : ROUND_ZERO);
    const skv_grid_params p = {.scale = 1, .zero_point = zero ? (int32_t)skive_tensor_get(zero->constant, 0) : 0};
    skv_fake_ends(&st->f.q, &p, &st->low, &st->high);
    see_channels(st, n);
    if (st->length == 1) { /* padding holds zeros, which every such grid has */
        const skv_layout layout = n->in[0].layout;
        if (st->gradient) n->in[GRAD_DY].layout = layout;
        n->out[0].layout = layout;
        if (!skv_layout_bytes(&n->in[0].type, layout, &bytes)) return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too large");
        st->count = st->inner = (int64_t)(bytes / sizeof(float));
        st->chunks = (st->count + CHUNK - 1) / CHUNK;
    } else {
        n->in[0].layout = SKV_PLAIN;
        if (st->gradient) n->in[GRAD_DY].layout = SKV_PLAIN;
        st->count = st->outer * st->length * st->inner;
        st->chunks = st->inner > 1 ? st->length : (st->length + COLUMNS - 1) / COLUMNS;
    }
    if (!skv_mul_size((size_t)(st->chunks + 1), 2 * sizeof(double), &bytes))
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too large");
    return skv_scratch_add(n, bytes, &at);
}

static bool waits(const fake_state *st, const skv_kernel_call *c) {
    const size_t at = st->gradient ? GRAD_COUNT : SKV_FAKE_COUNT;
    const float *count = at < c->n->n_in ? c->in[at] : NULL;
    return count && st->f.delay > 0 && (double)*count < st->f.delay;
}

static const float *scale_of(const fake_state *st, const skv_kernel_call *c) {
    return c->in[st->gradient ? GRAD_SCALE : SKV_FAKE_SCALE];
}

/* ---- one scale ---- */

static void extremes(const float *x, int64_t n, double *least, double *most) {
    float low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    *least = (double)low;
    *most = (double)high;
}

/* The moving average of the scale that covers x. */
static void follow(const fake_state *st, const skv_kernel_call *c, const double *ends) {
    const float old = *(const float *)c->in[SKV_FAKE_SCALE];
    float most = 0, *next = c->out[1];
    for (int64_t k = 0; k < st->chunks; k++) {
        const float low = (float)ends[2 * k], high = (float)ends[2 * k + 1];
        const float up = high > 0 && st->high > 0 ? high / st->high : 0,
                    down = low < 0 && st->low < 0 ? low / st->low : 0;
        most = up > most ? up : most;
        most = down > most ? down : most;
    }
    const double seen = most > 0 ? (double)most : (double)old;
    *next = (float)(st->f.momentum * (double)old + (1 - st->f.momentum) * seen);
}

static void run_one(const fake_state *st, const skv_kernel_call *c) {
    const float *x = c->in[0], *scale = scale_of(st, c), *dy = st->gradient ? c->in[GRAD_DY] : NULL;
    float *y = c->out[0];
    double *part = c->scratch;
    const bool rests = waits(st, c), learns = st->f.step != SKV_STEP_FIXED,
               follows = !st->gradient && c->n->n_out > 1 && c->out[1];
    const int threads = st->chunks < 4 ? 1 : c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t k = 0; k < st->chunks; k++) {
        const int64_t at = k * CHUNK, n = st->count - at < CHUNK ? st->count - at : CHUNK;
        part[2 * k] = part[2 * k + 1] = 0;
        if (follows) extremes(x + at, n, &part[2 * k], &part[2 * k + 1]);
        if (rests) {
            for (int64_t i = at; y && i < at + n; i++) y[i] = dy ? dy[i] : x[i];
        } else if (!st->gradient) {
            if (y) st->loops->round(x + at, n, scale, 0, st->low, st->high, y + at);
        } else if (learns) {
            part[2 * k] = st->loops->learn(x + at, dy + at, n, scale, 0, st->low, st->high, st->f.step == SKV_STEP_PACT,
                                           y ? y + at : NULL, NULL);
        } else if (y) {
            st->loops->pass(x + at, dy + at, n, scale, 0, st->low - 0.5f, st->high + 0.5f, y + at);
        }
    }
    if (follows) follow(st, c, part);
    if (!st->gradient || c->n->n_out < 2 || !c->out[1]) return;
    double sum = 0;
    for (int64_t k = 0; k < st->chunks; k++) sum += part[2 * k];
    *(float *)c->out[1] = (float)(sum * st->f.factor);
}

/* ---- a scale for each channel ---- */

static void run_channel(const fake_state *st, const skv_kernel_call *c, int64_t k) {
    const float *x = c->in[0], *scale = scale_of(st, c) + k, *dy = st->gradient ? c->in[GRAD_DY] : NULL;
    float *y = c->out[0], *ds = st->gradient && c->n->n_out > 1 ? c->out[1] : NULL;
    double sum = 0;
    for (int64_t o = 0; o < st->outer; o++) {
        const int64_t at = (o * st->length + k) * st->inner;
        float *to = y ? y + at : NULL;
        if (!st->gradient) {
            st->loops->round(x + at, st->inner, scale, 0, st->low, st->high, to);
        } else if (st->f.step != SKV_STEP_FIXED) {
            sum += st->loops->learn(x + at, dy + at, st->inner, scale, 0, st->low, st->high,
                                    st->f.step == SKV_STEP_PACT, to, NULL);
        } else {
            st->loops->pass(x + at, dy + at, st->inner, scale, 0, st->low - 0.5f, st->high + 0.5f, to);
        }
    }
    if (ds) ds[k] = (float)(sum * st->f.factor);
}

/* Channels that are columns, some at a time. */
static void run_columns(const fake_state *st, const skv_kernel_call *c, int64_t first) {
    const int64_t n = st->length - first < COLUMNS ? st->length - first : COLUMNS;
    const float *x = c->in[0], *scale = scale_of(st, c) + first, *dy = st->gradient ? c->in[GRAD_DY] : NULL;
    float *y = c->out[0], *ds = st->gradient && c->n->n_out > 1 ? c->out[1] : NULL;
    double sum[COLUMNS] = {0};
    for (int64_t o = 0; o < st->outer; o++) {
        const int64_t at = o * st->length + first;
        float *to = y ? y + at : NULL;
        if (!st->gradient) {
            st->loops->round(x + at, n, scale, 1, st->low, st->high, to);
        } else if (st->f.step != SKV_STEP_FIXED) {
            (void)st->loops->learn(x + at, dy + at, n, scale, 1, st->low, st->high, st->f.step == SKV_STEP_PACT, to,
                                   sum);
        } else {
            st->loops->pass(x + at, dy + at, n, scale, 1, st->low - 0.5f, st->high + 0.5f, to);
        }
    }
    for (int64_t i = 0; ds && i < n; i++) ds[first + i] = (float)(sum[i] * st->f.factor);
}

static skive_status run(const skv_kernel_call *c) {
    const fake_state *st = c->n->state;
    if (!st->gradient && c->n->n_out > 2 && c->out[2]) *(float *)c->out[2] = *(const float *)c->in[SKV_FAKE_COUNT] + 1;
    if (st->length == 1) {
        run_one(st, c);
        return SKIVE_OK;
    }
    if (!c->out[0] && (!st->gradient || st->f.step == SKV_STEP_FIXED)) return SKIVE_OK;
    const int threads = st->count < 4 * CHUNK ? 1 : c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t k = 0; k < st->chunks; k++) {
        if (st->inner > 1)
            run_channel(st, c, k);
        else
            run_columns(st, c, k * COLUMNS);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_FAKE_QUANTIZE, SKV_OP_FAKE_QUANTIZE_GRAD, SKV_OP_NONE};

const skv_kernel skv_kernel_fake_quantize_f32 = {
    .name = "fake_quantize_f32",
    .brief = "rounding to integer grids in training, and its gradient",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
