/* QConv and ConvInteger with one input and one output channel a group: every channel has its own window, so that the
 * loops run along the channels, and where these are few along several positions of a line at once, as if they were more
 * channels. Input and output stand as [n][spatial...][c]. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/int8/int8.h"

enum { MAX_TAPS = 1 << 14, LANES = 128, FEW = 16 };
enum { PARALLEL_FROM = 1 << 17 }; /* multiplications: some 10 us, less is not worth waking a thread for */

typedef struct depthwise_state {
    const skv_q8_loops *loops;
    skv_conv_shape s;
    skv_requant r;
    size_t item;       /* bytes of an output element */
    int64_t positions; /* taken at once */
    size_t lanes;      /* positions * c */
    size_t sum_bytes;  /* of one thread's sums; behind them the inputs it gathers, [taps][lanes], and its taps */
    size_t taps_at;
    size_t thread_bytes;
    int16_t *w;        /* [taps][lanes], or [pairs of taps][lanes][2] */
    bool pairs;        /* the loop for bytes takes them */
    int32_t *init;     /* [lanes]: bias - x_zero_point * sum of the weights */
    float *multiplier; /* [lanes] */
    skv_q8_fixed fixed;
    int32_t *q31, *shift; /* [lanes], in fixed point */
    uint8_t zero;         /* what padding holds */
    /* ConvInteger, whose zero point comes with the run: init holds the sum of the weights, and scratch what it is */
    bool sums, x_signed;
    size_t init_at, flipped_at; /* in scratch: init of the run; x as uint8 */
    /* ConvIntegerToFloat: sums become float32 in their place */
    bool to_float, relu;
    size_t scale_at;           /* in scratch: scale and bias of the run, [lanes] each */
    const float *scale, *bias; /* where they stand during a run; bias NULL: none */
} depthwise_state;

static bool suits(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type;
    if (x->rank < 3 || x->rank > 5) return skv_decline(why, "rank %d", x->rank);
    if (skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "the output is empty");
    const int64_t groups = skv_attr_int(n->node, "group", 1);
    if (groups < 2 || groups != x->dims[1].size || groups != w->dims[0].size) return skv_decline(why, "not depthwise");
    int64_t taps = 1;
    for (int d = 2; d < w->rank; d++) taps *= w->dims[d].size;
    return taps <= MAX_TAPS ? true : skv_decline(why, "a window of %lld", (long long)taps);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    return suits(n, why) && skv_q8_bytes(n, why) && skv_q8_weights_constant(n, why);
}

enum { X_ZERO = 2, W_ZERO, SCALE, BIAS };

static bool integer_applicable(const skv_kernel_node *n, skv_why *why) {
    if (!suits(n, why)) return false;
    if (skv_type_count(&n->in[0].type) == 0) return skv_decline(why, "empty");
    if (skv_kernel_has_input(n, SCALE) && n->in[SCALE].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    if (!n->in[1].constant || (skv_kernel_has_input(n, W_ZERO) && !n->in[W_ZERO].constant))
        return skv_decline(why, "the weights or their zero point are not constant");
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    depthwise_state *d = state;
    if (!d) return;
    skv_free(ctx, d->w);
    skv_free(ctx, d->init);
    skv_free(ctx, d->multiplier);
    skv_free(ctx, d->q31);
    skv_free(ctx, d->shift);
    skv_free(ctx, d);
}

/* What belongs to a channel, once for each position. */
static void pack(depthwise_state *d, int32_t zero, const int8_t *w, const int32_t *bias, const skv_q_scaling *scaling) {
    const int64_t taps = skv_volume(d->s.g.kernel);
    for (size_t i = 0; i < d->lanes; i++) {
        const int64_t c = (int64_t)i % d->s.c;
        int32_t sum = 0;
        for (int64_t t = 0; t < taps; t++) {
            const size_t pair = (size_t)(t / 2) * d->lanes + i;
            d->w[d->pairs ? 2 * pair + (size_t)t % 2 : (size_t)t * d->lanes + i] = w[c * taps + t];
            sum += w[c * taps + t];
        }
        /* Wraps where the true sum would not: see int8.h. */
        d->init[i] = (int32_t)((uint32_t)(bias ? bias[c] : 0) - (uint32_t)zero * (uint32_t)sum);
        d->multiplier[i] = (float)scaling->multiplier[c];
        if (!d->fixed.on) continue;
        d->q31[i] = (int32_t)scaling->q31[c];
        d->shift[i] = (int32_t)scaling->shift[c];
    }
    d->zero = (uint8_t)zero;
}

/* Sizes, and memory for what is packed. */
static skive_status allocate(skv_kernel_node *n, depthwise_state *d) {
    const size_t taps = (size_t)skv_volume(d->s.g.kernel);
    /* positions whose pixels are apart would have to be put together first */
    const bool together = d->s.g.stride[2] == 1 || d->s.c < FEW;
    d->positions = d->s.c >= LANES || !together ? 1 : LANES / d->s.c;
    if (d->positions > d->s.g.out[2]) d->positions = d->s.g.out[2];
    const size_t c = d->lanes = (size_t)(d->positions * d->s.c);
    d->sum_bytes = skv_align_up(c * sizeof(int32_t), 64);
    d->taps_at = d->sum_bytes + skv_align_up(c * taps, 64);
    d->thread_bytes = d->taps_at + skv_align_up(taps * sizeof(void *), 64);
    n->scratch_bytes = d->thread_bytes * (size_t)n->threads;
    n->state_bytes = c * ((taps + taps % 2) * 2 + (d->fixed.on ? 16 : 8));
    SKV_TRY(skv_alloc_array(n->ctx, c, (taps + taps % 2) * sizeof *d->w, &d->w));
    SKV_TRY(skv_alloc_array(n->ctx, c, sizeof *d->init, &d->init));
    for (int i = 0; d->fixed.on && i < 2; i++)
        SKV_TRY(skv_alloc_array(n->ctx, c, sizeof(int32_t), i ? &d->shift : &d->q31));
    return skv_alloc_array(n->ctx, c, sizeof *d->multiplier, &d->multiplier);
}

static skive_status prepare(skv_kernel_node *n) {
    depthwise_state *d = NULL;
    int32_t zero;
    skv_q_scaling scaling;
    const skive_tensor *bias = skv_q8_bias(n);
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *d, &d));
    d->loops = skv_q8_loops_of(skv_cpu_isa());
    SKV_GO(status, fail, skv_q8_conv_shape(n, &d->s));
    SKV_GO(status, fail, skv_q_zero_point(n->ctx, n->node, "x_zero_point", &zero));
    SKV_GO(status, fail, skv_q_scaling_read(n->ctx, n->node, d->s.m, true, &scaling));
    d->r = scaling.r;
    d->fixed = skv_q8_fixed_of(&scaling);
    const int64_t taps = skv_volume(d->s.g.kernel);
    SKV_GO(status, fail,
           skv_q_check_sums(n->ctx, n->node, zero, n->in[1].constant->data, d->s.m, taps, bias ? bias->data : NULL));
    d->item = d->r.output == SKV_Q_F32 ? sizeof(float) : 1;
    d->pairs = d->loops->depthwise_bytes && !d->fixed.on && d->item == 1;
    SKV_GO(status, fail, allocate(n, d));
    pack(d, zero, n->in[1].constant->data, bias ? bias->data : NULL, &scaling);
    n->state = d;
    n->packs_input[1] = n->packs_input[2] = true;
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    return SKIVE_OK;
fail:
    destroy(n->ctx, d);
    return status;
}

/* The weights less their zero points, and each channel's sum of them. */
static void pack_integer(depthwise_state *d, const skive_tensor *w, const skive_tensor *zeros) {
    const int64_t taps = skv_volume(d->s.g.kernel), n_zeros = zeros ? skive_tensor_count(zeros) : 0;
    for (size_t i = 0; i < d->lanes; i++) {
        const int64_t c = (int64_t)i % d->s.c;
        const int32_t zero = zeros ? (int32_t)skive_tensor_get(zeros, n_zeros > 1 ? c : 0) : 0;
        d->init[i] = 0;
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at = c * taps + t;
            const int32_t v = w->dtype == SKIVE_I8 ? ((const int8_t *)w->data)[at] : ((const uint8_t *)w->data)[at];
            d->w[(size_t)t * d->lanes + i] = (int16_t)(v - zero);
            d->init[i] += v - zero;
        }
    }
}

static skive_status integer_prepare(skv_kernel_node *n) {
    depthwise_state *d = NULL;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *d, &d));
    d->loops = skv_q8_loops_of(skv_cpu_isa());
    SKV_GO(status, fail, skv_q8_conv_shape(n, &d->s));
    SKV_GO(status, fail, allocate(n, d));
    pack_integer(d, n->in[1].constant, skv_kernel_has_input(n, W_ZERO) ? n->in[W_ZERO].constant : NULL);
    d->sums = true;
    d->item = sizeof(int32_t);
    d->x_signed = n->in[0].type.dtype == SKIVE_I8;
    SKV_GO(status, fail, skv_scratch_add(n, d->lanes * sizeof *d->init, &d->init_at));
    if (d->x_signed) SKV_GO(status, fail, skv_scratch_add(n, (size_t)skv_type_count(&n->in[0].type), &d->flipped_at));
    d->to_float = skv_kernel_has_input(n, SCALE);
    d->relu = skv_attr_int(n->node, "relu", 0) != 0;
    if (d->to_float) SKV_GO(status, fail, skv_scratch_add(n, 2 * d->lanes * sizeof(float), &d->scale_at));
    for (size_t i = SCALE; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->state = d;
    n->packs_input[1] = true;
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    return SKIVE_OK;
fail:
    destroy(n->ctx, d);
    return status;
}

/* One line of the input (NULL: padding) under tap column `kw`, for the positions from `ow` on: where it stands, or
 * gathered into `to`. */
static const uint8_t *line_under(const depthwise_state *d, const uint8_t *line, int64_t kw, int64_t ow, int64_t count,
                                 uint8_t *to) {
    const skv_geometry *g = &d->s.g;
    const int64_t stride = g->stride[2], first = ow * stride - g->pad_lo[2] + kw * g->dilation[2];
    const size_t c = (size_t)d->s.c;
    if (line && first >= 0 && first + (count - 1) * stride < g->in[2]) {
        if (stride == 1 || count == 1) return line + (size_t)first * c;
        for (int64_t i = 0; i < count; i++) memcpy(to + (size_t)i * c, line + (size_t)(first + i * stride) * c, c);
        return to;
    }
    if (stride == 1) { /* what lies inside is one piece */
        const int64_t lo = first < 0 ? -first : 0, hi = g->in[2] - first < count ? g->in[2] - first : count;
        if (!line || lo >= hi) {
            memset(to, d->zero, (size_t)count * c);
            return to;
        }
        memset(to, d->zero, (size_t)lo * c);
        memcpy(to + (size_t)lo * c, line + (size_t)(first + lo) * c, (size_t)(hi - lo) * c);
        memset(to + (size_t)hi * c, d->zero, (size_t)(count - hi) * c);
        return to;
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t iw = first + i * stride;
        if (line && iw >= 0 && iw < g->in[2])
            memcpy(to + (size_t)i * c, line + (size_t)iw * c, c);
        else
            memset(to + (size_t)i * c, d->zero, c);
    }
    return to;
}

/* The taps of `count` output positions from (od, oh, ow) on. */
static void points(const depthwise_state *d, const uint8_t *image, int64_t od, int64_t oh, int64_t ow, int64_t count,
                   uint8_t *gathered, const uint8_t **taps) {
    const skv_geometry *g = &d->s.g;
    for (int64_t kd = 0; kd < g->kernel[0]; kd++) {
        const int64_t id = od * g->stride[0] - g->pad_lo[0] + kd * g->dilation[0];
        for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
            const int64_t ih = oh * g->stride[1] - g->pad_lo[1] + kh * g->dilation[1];
            const bool inside = id >= 0 && id < g->in[0] && ih >= 0 && ih < g->in[1];
            const uint8_t *line = inside ? image + (id * g->in[1] + ih) * g->in[2] * d->s.c : NULL;
            for (int64_t kw = 0; kw < g->kernel[2]; kw++, gathered += d->lanes)
                *taps++ = line_under(d, line, kw, ow, count, gathered);
        }
    }
}

/* Do the windows of `count` positions from `o` on lie inside along an axis? */
static bool is_inside(const skv_geometry *g, int axis, int64_t o, int64_t count) {
    const int64_t first = o * g->stride[axis] - g->pad_lo[axis];
    const int64_t last = first + (count - 1) * g->stride[axis] + (g->kernel[axis] - 1) * g->dilation[axis];
    return first >= 0 && last < g->in[axis];
}

static skive_status run_on(const depthwise_state *d, const skv_kernel_call *c, const uint8_t *x) {
    const skv_geometry *g = &d->s.g;
    char *y = c->out[0];
    const int64_t lines = d->s.n * g->out[0] * g->out[1];
    const size_t channels = (size_t)d->s.c, taps = (size_t)skv_volume(g->kernel);
    const double products = (double)(lines * g->out[2]) * (double)(channels * taps);
    const int threads = products < PARALLEL_FROM ? 1 : c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t line = 0; line < lines; line++) {
        char *scratch = (char *)c->scratch + (size_t)skv_thread_number() * d->thread_bytes;
        int32_t *sum = (int32_t *)(void *)scratch;
        const uint8_t **at = (const uint8_t **)(void *)(scratch + d->taps_at);
        const int64_t oh = line % g->out[1], od = line / g->out[1] % g->out[0];
        const uint8_t *image = x + line / g->out[1] / g->out[0] * skv_volume(g->in) * d->s.c;
        char *to = y + (size_t)(line * g->out[2]) * channels * d->item;
        const bool lines_inside = is_inside(g, 0, od, 1) && is_inside(g, 1, oh, 1);
        bool was_inside = false;
        for (int64_t ow = 0; ow < g->out[2]; ow += d->positions) {
            const int64_t count = g->out[2] - ow < d->positions ? g->out[2] - ow : d->positions;
            const size_t n = (size_t)count * channels;
            const bool inside = lines_inside && is_inside(g, 2, ow, count) && (g->stride[2] == 1 || d->positions == 1);
            if (inside && was_inside) { /* the last taps some steps further */
                for (size_t t = 0; t < taps; t++) at[t] += (size_t)(d->positions * g->stride[2]) * channels;
            } else {
                points(d, image, od, oh, ow, count, (uint8_t *)scratch + d->sum_bytes, at);
            }
            was_inside = inside;
            if (d->pairs) {
                d->loops->depthwise_bytes(at, taps, d->w, d->lanes, d->init, d->multiplier, (uint8_t *)to, n, &d->r);
                to += n;
                continue;
            }
            int32_t *into = d->sums ? (int32_t *)(void *)to : sum;
            d->loops->depthwise(at, taps, d->w, d->lanes, d->init, into, n);
            if (d->to_float)
                d->loops->real(into, d->scale, d->bias, d->relu, (float *)(void *)to, n);
            else if (d->fixed.on)
                d->loops->fixed(sum, d->q31, d->shift, 1, (uint8_t *)to, n, &d->fixed);
            else if (!d->sums)
                d->loops->requant(sum, d->multiplier, 1, to, n, &d->r);
            to += n * d->item;
        }
    }
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) { return run_on(c->n->state, c, c->in[0]); }

/* Scale and bias of the run, once for each position. */
static void take_scales(const skv_kernel_call *c, depthwise_state *at) {
    const float *scale = c->in[SCALE], *bias = skv_kernel_has_input(c->n, BIAS) ? c->in[BIAS] : NULL;
    const size_t step = skv_type_count(&c->n->in[SCALE].type) > 1, channels = (size_t)at->s.c;
    float *to = (float *)(void *)((char *)c->scratch + at->scale_at);
    for (size_t i = 0; i < at->lanes; i++) to[i] = scale[i % channels * step];
    for (size_t i = 0; bias && i < at->lanes; i++) to[at->lanes + i] = bias[i % channels];
    at->scale = to;
    at->bias = bias ? to + at->lanes : NULL;
}

static skive_status integer_run(const skv_kernel_call *c) {
    const depthwise_state *d = c->n->state;
    const void *given = c->n->n_in > X_ZERO ? c->in[X_ZERO] : NULL;
    const uint8_t *x = c->in[0];
    int32_t zero = !given ? 0 : d->x_signed ? *(const int8_t *)given : *(const uint8_t *)given;
    depthwise_state at = *d;
    at.init = (int32_t *)(void *)((char *)c->scratch + d->init_at);
    if (d->x_signed) {
        uint8_t *flipped = (uint8_t *)c->scratch + d->flipped_at;
        const size_t n = (size_t)skv_type_count(&c->n->in[0].type);
        for (size_t i = 0; i < n; i++) flipped[i] = x[i] ^ 128;
        x = flipped;
        zero += 128;
    }
    at.zero = (uint8_t)zero;
    for (size_t i = 0; i < d->lanes; i++) at.init[i] = -zero * d->init[i];
    if (d->to_float) take_scales(c, &at);
    return run_on(&at, c, x);
}

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_NONE};
static const skv_op_kind integer_ops[] = {SKV_OP_CONV_INTEGER, SKV_OP_CONV_INTEGER_TO_FLOAT, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_depthwise_integer = {
    .name = "conv_integer_depthwise",
    .brief = "depthwise integer convolution with zero points known only at run time",
    .ops = integer_ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = integer_applicable,
    .prepare = integer_prepare,
    .run = integer_run,
    .destroy = destroy,
};

const skv_kernel skv_kernel_int8_depthwise = {
    .name = "qconv_depthwise_u8s8",
    .brief = "depthwise integer convolution, along the channels",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
