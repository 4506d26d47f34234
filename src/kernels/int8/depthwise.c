/* QConv with one input and one output channel a group: every channel has its own window, so that the loops run along the
 * channels of one position. Input and output stand as [n][spatial...][c]. */
#include <omp.h>

#include "kernels/int8/int8.h"

enum { MAX_TAPS = 128 };

typedef struct depthwise_state {
    const skv_q8_loops *loops;
    skv_conv_shape s;
    skv_requant r;
    size_t item;       /* bytes of an output element */
    size_t sum_bytes;  /* of one thread's sums */
    int16_t *w;        /* [taps][c] */
    int32_t *init;     /* [c]: bias - x_zero_point * sum of the weights */
    float *multiplier; /* [c] */
    uint8_t *padding;  /* [c] of the zero point */
} depthwise_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type;
    if (x->rank < 3 || x->rank > 5) return skv_decline(why, "rank %d", x->rank);
    if (skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "the output is empty");
    const int64_t groups = skv_attr_int(n->node, "group", 1);
    if (groups < 2 || groups != x->dims[1].size || groups != w->dims[0].size) return skv_decline(why, "not depthwise");
    int64_t taps = 1;
    for (int d = 2; d < w->rank; d++) taps *= w->dims[d].size;
    if (taps > MAX_TAPS) return skv_decline(why, "a window of %lld", (long long)taps);
    return skv_q8_constant_weights(n, why);
}

static void destroy(skive_context *ctx, void *state) {
    depthwise_state *d = state;
    if (!d) return;
    skv_free(ctx, d->w);
    skv_free(ctx, d->init);
    skv_free(ctx, d->multiplier);
    skv_free(ctx, d->padding);
    skv_free(ctx, d);
}

static void pack(depthwise_state *d, int32_t zero, const int8_t *w, const int32_t *bias, const double *multiplier) {
    const int64_t taps = skv_volume(d->s.g.kernel);
    for (int64_t c = 0; c < d->s.c; c++) {
        int32_t sum = 0;
        for (int64_t t = 0; t < taps; t++) {
            d->w[t * d->s.c + c] = w[c * taps + t];
            sum += w[c * taps + t];
        }
        /* Wraps where the true sum would not: see int8.h. */
        d->init[c] = (int32_t)((uint32_t)(bias ? bias[c] : 0) - (uint32_t)zero * (uint32_t)sum);
        d->multiplier[c] = (float)multiplier[c];
    }
    memset(d->padding, zero, (size_t)d->s.c);
}

static skive_status prepare(skv_kernel_node *n) {
    depthwise_state *d = NULL;
    int32_t zero;
    const double *multiplier;
    const skive_tensor *bias = skv_q8_bias(n);
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *d, &d));
    d->loops = skv_q8_loops_of(skv_cpu_isa());
    SKV_GO(status, fail, skv_q8_conv_shape(n, &d->s));
    SKV_GO(status, fail, skv_requant_read(n->ctx, n->node, &d->r));
    SKV_GO(status, fail, skv_q_zero_point(n->ctx, n->node, "x_zero_point", &zero));
    SKV_GO(status, fail, skv_q_multipliers(n->ctx, n->node, d->s.m, &multiplier));
    const int64_t taps = skv_volume(d->s.g.kernel);
    const size_t c = (size_t)d->s.c;
    SKV_GO(status, fail,
           skv_q_check_sums(n->ctx, n->node, zero, n->in[1].constant->data, d->s.m, taps, bias ? bias->data : NULL));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, c, (size_t)taps * sizeof *d->w, &d->w));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, c, sizeof *d->init, &d->init));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, c, sizeof *d->multiplier, &d->multiplier));
    SKV_GO(status, fail, skv_alloc(n->ctx, c, &d->padding));
    pack(d, zero, n->in[1].constant->data, bias ? bias->data : NULL, multiplier);
    d->item = d->r.output == SKV_Q_F32 ? sizeof(float) : 1;
    d->sum_bytes = skv_align_up(c * sizeof(int32_t), 64);
    n->scratch_bytes = d->sum_bytes * (size_t)n->threads;
    n->state = d;
    n->state_bytes = c * ((size_t)taps * 2 + 9);
    n->packs_input[1] = n->packs_input[2] = true;
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    return SKIVE_OK;
fail:
    destroy(n->ctx, d);
    return status;
}

/* Where the taps of output position (od, oh, ow) lie. */
static void point(const depthwise_state *d, const uint8_t *image, int64_t od, int64_t oh, int64_t ow,
                  const uint8_t **taps) {
    const skv_geometry *g = &d->s.g;
    for (int64_t kd = 0; kd < g->kernel[0]; kd++) {
        const int64_t id = od * g->stride[0] - g->pad_lo[0] + kd * g->dilation[0];
        for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
            const int64_t ih = oh * g->stride[1] - g->pad_lo[1] + kh * g->dilation[1];
            const bool inside = id >= 0 && id < g->in[0] && ih >= 0 && ih < g->in[1];
            for (int64_t kw = 0; kw < g->kernel[2]; kw++) {
                const int64_t iw = ow * g->stride[2] - g->pad_lo[2] + kw * g->dilation[2];
                *taps++ = inside && iw >= 0 && iw < g->in[2] ? image + ((id * g->in[1] + ih) * g->in[2] + iw) * d->s.c
                                                             : d->padding;
            }
        }
    }
}

static skive_status run(const skv_kernel_call *c) {
    const depthwise_state *d = c->n->state;
    const skv_geometry *g = &d->s.g;
    const uint8_t *x = c->in[0];
    char *y = c->out[0];
    const int threads = c->n->threads;
    const int64_t lines = d->s.n * g->out[0] * g->out[1];
    const size_t channels = (size_t)d->s.c, taps = (size_t)skv_volume(g->kernel);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t line = 0; line < lines; line++) {
        const uint8_t *at[MAX_TAPS];
        int32_t *sum = (int32_t *)(void *)((char *)c->scratch + (size_t)omp_get_thread_num() * d->sum_bytes);
        const int64_t oh = line % g->out[1], od = line / g->out[1] % g->out[0];
        const uint8_t *image = x + line / g->out[1] / g->out[0] * skv_volume(g->in) * d->s.c;
        char *to = y + (size_t)(line * g->out[2]) * channels * d->item;
        for (int64_t ow = 0; ow < g->out[2]; ow++, to += channels * d->item) {
            point(d, image, od, oh, ow, at);
            d->loops->depthwise(at, taps, d->w, channels, d->init, sum, channels);
            d->loops->requant(sum, d->multiplier, 1, to, channels, &d->r);
        }
    }
    return SKIVE_OK;
}

static const char *const ops[] = {"QConv", NULL};

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
