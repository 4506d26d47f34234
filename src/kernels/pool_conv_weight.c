/* MaxPoolPlace and ConvPoolGradWeight in f32. The gradient goes image by image and channel by channel: one product for
 * each pooled element, a row of the convolution's window in eight numbers. Every thread sums its images on its own. */
#include "kernels/pool_conv_weight.h"

#include <string.h>

#include "kernels/channels.h"
#include "ops/pool/common_pool_place.h"

static const skv_pcw_loops *loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX2, &skv_pcw_avx2) SKV_AT(isa, NEON, &skv_pcw_neon) SKV_ELSE(isa, &skv_pcw_scalar);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

/* ---- MaxPoolPlace ---- */

typedef struct pool_state {
    const skv_pcw_loops *loops;
    skv_pcw_pool s;
    skv_channels x, y;
    int threads;
} pool_state;

static bool pool_applicable(const skv_kernel_node *n, skv_why *why) {
    if (n->in[0].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    if (skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "empty");
    return !n->out[0].absent && !n->out[1].absent;
}

static skive_status pool_prepare(skv_kernel_node *n) {
    pool_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    if (n->in[0].layout == SKV_NHWC) n->in[0].layout = SKV_PLAIN;
    n->out[0].layout = n->out[1].layout = n->in[0].layout;
    st->loops = loops_of(skv_cpu_isa());
    st->x = skv_channels_of(&n->in[0].type, n->in[0].layout);
    st->y = skv_channels_of(&n->out[0].type, n->in[0].layout);
    (void)skv_pool_shape(n->node, st->s.pool);
    for (int a = 0; a < 2; a++) st->s.out[a] = n->out[0].type.dims[2 + a].size;
    st->s.width = n->in[0].type.dims[3].size;
    st->s.lanes = st->x.lanes;
    st->threads = st->x.n * st->x.batch_step < 32768 ? 1 : n->threads;
    return SKIVE_OK;
}

static skive_status pool_run(const skv_kernel_call *c) {
    const pool_state *st = c->n->state;
    const int threads = st->threads;
#pragma omp parallel for collapse(2) num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->x.n; i++) {
        for (int64_t b = 0; b < st->x.blocks; b++) {
            const int64_t to = i * st->y.batch_step + b * st->y.block_step;
            st->loops->pool(&st->s, (const float *)c->in[0] + i * st->x.batch_step + b * st->x.block_step,
                            (float *)c->out[0] + to, (uint8_t *)c->out[1] + to);
        }
    }
    return SKIVE_OK;
}

/* ---- ConvPoolGradWeight ---- */

enum { DP, PLACES, X, W };

typedef struct gradient_state {
    const skv_pcw_loops *loops;
    skv_pcw_window s;
    skv_channels p;
    int64_t c, m, plane,
        columns; /* channels in and out, elements of a plane of X, columns of the convolution's window */
    int threads;
    size_t padded, per_thread; /* floats: of a plane of X with room behind it; of a thread's scratch */
} gradient_state;

static bool gradient_applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[X].type, *w = &n->in[W].type;
    if (n->in[DP].type.dtype != SKIVE_F32 || x->dtype != SKIVE_F32) return skv_decline(why, "not float32");
    if (w->dims[2].size > SKV_PCW_ROWS || w->dims[3].size > SKV_PCW_LANES)
        return skv_decline(why, "a window of more than %d", SKV_PCW_LANES);
    if (skv_type_count(x) == 0 || skv_type_count(w) == 0) return skv_decline(why, "empty");
    if (x->dims[2].size * x->dims[3].size > INT32_MAX / 2) return skv_decline(why, "too large");
    return true;
}

static void size_window(const skv_kernel_node *n, skv_pcw_window *s) {
    int64_t pool[2];
    (void)skv_pool_shape(n->node, pool);
    s->width = n->in[X].type.dims[3].size;
    s->rows = n->in[W].type.dims[2].size;
    for (int a = 0; a < 2; a++) s->out[a] = n->in[DP].type.dims[2 + a].size;
    s->step[0] = pool[0] * s->width;
    s->step[1] = pool[1];
    for (int64_t t = 0; t < pool[0] * pool[1]; t++) {
        s->offset[t] = (int32_t)(t / pool[1] * s->width + t % pool[1]);
        s->share[t] = 1;
    }
}

static skive_status gradient_prepare(skv_kernel_node *n) {
    gradient_state *st = NULL;
    const skive_type *x = &n->in[X].type, *w = &n->in[W].type;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    const skv_layout layout = n->in[PLACES].layout == SKV_NHWC ? SKV_PLAIN : n->in[PLACES].layout;
    n->in[DP].layout = n->in[PLACES].layout = layout;
    n->in[X].layout = n->in[W].layout = SKV_PLAIN;
    n->skips_input_data[W] = true;
    st->loops = loops_of(skv_cpu_isa());
    st->p = skv_channels_of(&n->in[DP].type, layout);
    size_window(n, &st->s);
    st->s.lanes = st->p.lanes;
    st->c = x->dims[1].size;
    st->m = w->dims[0].size;
    st->plane = x->dims[2].size * x->dims[3].size;
    st->columns = w->dims[3].size;
    st->threads = st->p.n < n->threads ? (int)(st->p.n > 0 ? st->p.n : 1) : n->threads;
    st->padded = (size_t)st->plane + SKV_PCW_LANES; /* a row of eight may begin anywhere in a plane */
    st->per_thread = st->padded * (size_t)st->c + (size_t)(st->m * st->c * st->s.rows) * SKV_PCW_LANES + (size_t)st->m;
    n->scratch_bytes = (size_t)st->threads * st->per_thread * sizeof(float);
    return SKIVE_OK;
}

typedef struct scratch {
    float *x, *sums, *bias;
} scratch;

static scratch scratch_of(const gradient_state *st, void *memory, int thread) {
    scratch t;
    t.x = (float *)memory + (size_t)thread * st->per_thread;
    t.sums = t.x + st->padded * (size_t)st->c;
    t.bias = t.sums + st->m * st->c * st->s.rows * SKV_PCW_LANES;
    return t;
}

static void one_image(const gradient_state *st, const skv_kernel_call *call, int64_t i, const scratch *t) {
    const int64_t window = st->s.rows * SKV_PCW_LANES, lanes = st->s.lanes;
    for (int64_t c = 0; c < st->c; c++)
        memcpy(t->x + (size_t)c * st->padded, (const float *)call->in[X] + (i * st->c + c) * st->plane,
               (size_t)st->plane * sizeof(float));
    for (int64_t m = 0; m < st->m; m++) {
        const int64_t at = i * st->p.batch_step + m / lanes * st->p.block_step + m % lanes;
        const float *d = (const float *)call->in[DP] + at;
        const uint8_t *place = (const uint8_t *)call->in[PLACES] + at;
        for (int64_t c = 0; c < st->c; c++)
            st->loops->gather(&st->s, t->x + (size_t)c * st->padded, d, place, t->sums + (m * st->c + c) * window);
        float sum = 0;
        for (int64_t k = 0; k < st->p.s; k++) sum += d[k * lanes] * st->s.share[place[k * lanes]];
        t->bias[m] += sum;
    }
}

/* The threads' sums together. */
static void finish(const gradient_state *st, const skv_kernel_call *call) {
    float *dw = call->out[0], *db = call->n->n_out > 1 ? call->out[1] : NULL;
    const int64_t rows = st->m * st->c * st->s.rows;
    for (int64_t r = 0; dw && r < rows; r++) {
        for (int64_t k = 0; k < st->columns; k++) {
            float sum = 0;
            for (int t = 0; t < st->threads; t++) sum += scratch_of(st, call->scratch, t).sums[r * SKV_PCW_LANES + k];
            dw[r * st->columns + k] = sum;
        }
    }
    for (int64_t m = 0; db && m < st->m; m++) {
        db[m] = 0;
        for (int t = 0; t < st->threads; t++) db[m] += scratch_of(st, call->scratch, t).bias[m];
    }
}

static skive_status gradient_run(const skv_kernel_call *c) {
    const gradient_state *st = c->n->state;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        const scratch own = scratch_of(st, c->scratch, t);
        memset(own.x, 0, st->per_thread * sizeof(float));
        for (int64_t i = st->p.n * t / threads; i < st->p.n * (t + 1) / threads; i++) one_image(st, c, i, &own);
    }
    finish(st, c);
    return SKIVE_OK;
}

static const skv_op_kind pool_ops[] = {SKV_OP_MAX_POOL_PLACE, SKV_OP_NONE};
static const skv_op_kind gradient_ops[] = {SKV_OP_CONV_POOL_GRAD_WEIGHT, SKV_OP_NONE};

const skv_kernel skv_kernel_pool_place_f32 = {
    .name = "pool_place_f32",
    .brief = "max pooling that stores the positions of the maxima",
    .ops = pool_ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = pool_applicable,
    .prepare = pool_prepare,
    .run = pool_run,
    .destroy = destroy,
};

const skv_kernel skv_kernel_pool_conv_weight_f32 = {
    .name = "pool_conv_weight_f32",
    .brief = "gradient of a convolution's weight through MaxPool, from the maxima only",
    .ops = gradient_ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = gradient_applicable,
    .prepare = gradient_prepare,
    .run = gradient_run,
    .destroy = destroy,
};
