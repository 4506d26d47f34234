/* ConvInteger and ConvIntegerToFloat with constant weights: the tiles of QConv with zero points that are known only at
 * run time. Weights are
 * int8 (uint8 less 128, their zero points too); where a zero point of theirs remains,
 *
 *     sum of (x - zx) (w - zw) = sum of (x - zx) w - zw * sum of (x - zx)
 *
 * and the last sum is taken over the window of the sums of each pixel's channels. Input and output stand as
 * [n][spatial...][c]. Sums wrap as int32. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/int8/dense.h"
#include "kernels/int8/matrix.h"
#include "kernels/int8/tiles.h"

enum { X, W, X_ZERO, W_ZERO, SCALE, BIAS, PARALLEL_FROM = 1 << 14, LARGEST = 1 << 16, LANES = 512 };

typedef struct conv_state {
    skv_q8_dense *dense;
    bool x_signed;
    bool to_float, relu;
    int64_t together;           /* places whose sums become float32 at once, as if they were more filters */
    size_t scale_at;            /* offset into scratch: scale and bias of these */
    int32_t *w_zero;            /* [m]; NULL: all are 0 */
    size_t at, flipped, pixels; /* offsets into scratch: what depends on the zero point; x as uint8; sums of pixels */
} conv_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[X].type, *w = &n->in[W].type;
    if (x->rank < 3 || x->rank > 5) return skv_decline(why, "rank %d", x->rank);
    if (skv_type_count(x) == 0 || skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "empty");
    if (!n->in[W].constant) return skv_decline(why, "the weights are not constant");
    if (skv_kernel_has_input(n, W_ZERO) && !n->in[W_ZERO].constant)
        return skv_decline(why, "the zero point of the weights is not constant");
    if (skv_kernel_has_input(n, SCALE) && n->in[SCALE].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    if (skv_type_count(w) / w->dims[0].size > LARGEST) /* 2^16 times 255 times 128 is an int32 */
        return skv_decline(why, "windows so large that sums in plain C would overflow");
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    conv_state *st = state;
    if (!st) return;
    skv_q8_dense_destroy(ctx, st->dense);
    skv_free(ctx, st->w_zero);
    skv_free(ctx, st);
}

/* The zero points of int8 weights, if any is not 0. */
static skive_status read_zeros(skv_kernel_node *n, bool w_signed, int64_t m, int32_t **out) {
    const skive_tensor *zeros = skv_kernel_has_input(n, W_ZERO) ? n->in[W_ZERO].constant : NULL;
    bool any = false;
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)m, sizeof **out, out));
    for (int64_t i = 0; i < m; i++) {
        const bool many = zeros && skive_tensor_count(zeros) > 1;
        (*out)[i] = (zeros ? (int32_t)skive_tensor_get(zeros, many ? i : 0) : 0) - (w_signed ? 0 : 128);
        any = any || (*out)[i] != 0;
    }
    if (any) return SKIVE_OK;
    skv_free(n->ctx, *out);
    *out = NULL;
    return SKIVE_OK;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    conv_state *st = state;
    const skive_tensor *w = n->in[W].constant;
    const size_t count = (size_t)skive_tensor_count(w), elements = (size_t)skv_type_count(&n->in[X].type);
    const bool w_signed = w->dtype == SKIVE_I8;
    skv_conv_shape s;
    int8_t *turned = NULL;
    SKV_TRY(skv_q8_conv_shape(n, &s));
    st->x_signed = n->in[X].type.dtype == SKIVE_I8;
    st->to_float = skv_kernel_has_input(n, SCALE);
    st->relu = skv_attr_int(n->node, "relu", 0) != 0;
    SKV_TRY(read_zeros(n, w_signed, s.m, &st->w_zero));
    if (!w_signed) {
        SKV_TRY(skv_alloc(n->ctx, count, &turned));
        for (size_t i = 0; i < count; i++) turned[i] = (int8_t)(((const uint8_t *)w->data)[i] - 128);
    }
    const skive_status status =
        skv_q8_dense_sums(n, skv_q8_gemm_for(skv_cpu_isa(), &s), &s, turned ? turned : w->data, &st->dense);
    skv_free(n->ctx, turned);
    SKV_TRY(status);
    n->in[X].layout = n->out[0].layout = SKV_NHWC;
    for (size_t i = SCALE; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    SKV_TRY(skv_scratch_add(n, skv_q8_dense_at_bytes(st->dense), &st->at));
    if (st->x_signed) SKV_TRY(skv_scratch_add(n, elements, &st->flipped));
    st->together = s.m < LANES ? LANES / s.m : 1;
    if (st->to_float) SKV_TRY(skv_scratch_add(n, (size_t)(2 * st->together * s.m) * sizeof(float), &st->scale_at));
    const size_t sums = elements / (size_t)s.c * (size_t)s.groups * sizeof(int32_t);
    return st->w_zero ? skv_scratch_add(n, sums, &st->pixels) : SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(conv_state), set_up, destroy); }

/* sums[pixel][group] = the sum of x - zero over a group's channels */
static void sum_pixels(const skv_conv_shape *s, const uint8_t *x, int32_t zero, int threads, int32_t *sums) {
    const int64_t pixels = s->n * skv_volume(s->g.in), c = s->c / s->groups;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < pixels * s->groups; i++) {
        int32_t sum = 0;
        for (int64_t k = 0; k < c; k++) sum += x[i * c + k];
        sums[i] = sum - (int32_t)c * zero;
    }
}

/* The part of the zero points of the weights, at one output position. */
static void correct(const conv_state *st, const int32_t *image, const skv_window *w, int32_t *y) {
    const skv_conv_shape *s = &st->dense->s;
    const skv_geometry *g = &s->g;
    const int64_t per_out = s->m / s->groups;
    for (int64_t group = 0; group < s->groups; group++) {
        uint32_t sum = 0;
        for (int64_t d = w->lo[0]; d < w->hi[0]; d++)
            for (int64_t h = w->lo[1]; h < w->hi[1]; h++)
                for (int64_t k = w->lo[2]; k < w->hi[2]; k++)
                    sum += (uint32_t)image[(skv_window_row(g, w, d, h) + k * g->dilation[2]) * s->groups + group];
        uint32_t *to = (uint32_t *)y + group * per_out;
        for (int64_t m = 0; m < per_out; m++) to[m] -= sum * (uint32_t)st->w_zero[group * per_out + m];
    }
}

static void correct_all(const conv_state *st, const uint8_t *x, int32_t zero, int threads, char *scratch, int32_t *y) {
    const skv_conv_shape *s = &st->dense->s;
    int32_t *pixels = (int32_t *)(void *)(scratch + st->pixels);
    sum_pixels(s, x, zero, threads, pixels);
    const int64_t places = skv_volume(s->g.out), image = skv_volume(s->g.in) * s->groups;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < s->n * places; i++) {
        const skv_window w = skv_window_at(&s->g, i % places);
        correct(st, pixels + i / places * image, &w, y + i * s->m);
    }
}

/* The sums in `y` become float32 in their place. */
static void make_real(const conv_state *st, const skv_kernel_call *c, int threads, void *y) {
    const skv_conv_shape *s = &st->dense->s;
    const skv_q8_loops *loops = skv_q8_loops_of(skv_cpu_isa());
    const size_t step = skv_type_count(&c->n->in[SCALE].type) > 1;
    const float *scale = c->in[SCALE], *bias = skv_kernel_has_input(c->n, BIAS) ? c->in[BIAS] : NULL;
    const int64_t places = s->n * skv_volume(s->g.out), lanes = st->together * s->m;
    float *by = (float *)(void *)((char *)c->scratch + st->scale_at), *add = bias ? by + lanes : NULL;
    for (int64_t i = 0; i < lanes; i++) by[i] = scale[(size_t)(i % s->m) * step];
    for (int64_t i = 0; bias && i < lanes; i++) add[i] = bias[i % s->m];
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < places; i += st->together) {
        const int64_t count = places - i < st->together ? places - i : st->together;
        char *row = (char *)y + (size_t)(i * s->m) * sizeof(float);
        loops->real((const int32_t *)(void *)row, by, add, st->relu, (float *)(void *)row, (size_t)(count * s->m));
    }
}

static skive_status run(const skv_kernel_call *c) {
    const conv_state *st = c->n->state;
    const void *given = c->n->n_in > X_ZERO ? c->in[X_ZERO] : NULL;
    const size_t elements = (size_t)skv_type_count(&c->n->in[X].type);
    const int threads = elements < PARALLEL_FROM ? 1 : c->n->threads;
    const uint8_t *x = c->in[X];
    char *scratch = c->scratch;
    int32_t zero = !given ? 0 : st->x_signed ? *(const int8_t *)given : *(const uint8_t *)given;
    skv_q8_dense at;
    if (st->x_signed) {
        uint8_t *flipped = (uint8_t *)scratch + st->flipped;
        for (size_t i = 0; i < elements; i++) flipped[i] = x[i] ^ 128;
        x = flipped;
        zero += 128;
    }
    skv_q8_dense_at(st->dense, zero, scratch + st->at, &at);
    skv_q8_dense_run_on(&at, x, NULL, c->out[0], scratch, c->n->threads);
    if (st->w_zero) correct_all(st, x, zero, threads, scratch, c->out[0]);
    if (st->to_float) make_real(st, c, threads, c->out[0]);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_CONV_INTEGER, SKV_OP_CONV_INTEGER_TO_FLOAT, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_conv_integer = {
    .name = "conv_integer",
    .brief = "integer convolution with zero points known only at run time",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
