/* Convolution forward in f32, with residual and activation: oneDNN's direct algorithm, and for 3x3 windows over many
 * channels Winograd's (Lavin & Gray, 2016). Which tiles, the library chooses: mostly F(2x2, 3x3), whose transforms
 * hold only
 * 1 and 1/2 and so round as little; in between F(4x4, 3x3) on points chosen for small rounding. */
#include <math.h>
#include <string.h>

#include "kernels/onednn/convolution.h"
#include "kernels/onednn/winograd_pays.h"
#include "ops/common_activation.h"

/* Multiplications below which a second thread takes longer to wake than it saves. */
enum { PARALLEL_FROM = 1 << 19, PARALLEL_FROM_DEPTHWISE = 1 << 17 };

typedef struct conv_state {
    int threads;
    skv_dnnl_prim prim;
    skv_dnnl_operand w;
    size_t scratch_offset, bytes; /* of the output, for the residual */
    bool has_bias, has_sum;
} conv_state;

static bool has_post_op(skv_pointwise f) {
#define ELTWISE(...)   true
#define HARD_SWISH_OPS true
#define NO_POST_OP     false
    static const bool has[SKV_PW_COUNT] = {
        [SKV_PW_NONE] = true,
#define X(ID, ...)
#define XF(ID, name, op, n, a0, b0, value, slope, lo, hi, course, zero, onednn, ...) [SKV_PW_##ID] = onednn,
#include "ops/pointwise.inc"
#undef X
#undef XF
    };
    return has[f];
#undef ELTWISE
#undef HARD_SWISH_OPS
#undef NO_POST_OP
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_dnnl_conv c;
    if (!skv_dnnl_engine()) return skv_decline(why, "oneDNN gives no engine");
    if (!skv_kernel_f32(&n->in[0]) || !skv_kernel_f32(&n->out[0])) return skv_decline(why, "not float32, or empty");
    if (n->node->domain[0]) {
        skv_activation a;
        if (skv_activation_read(n->ctx, n->node, &a) != SKIVE_OK) return skv_decline(why, "its activation");
        if (!has_post_op(a.kind)) return skv_decline(why, "%s is not fused", skv_pointwise_at(a.kind)->name);
    }
    return skv_dnnl_conv_read(n, &n->in[0].type, &n->in[1].type, &c, why);
}

/* oneDNN's Relu gives 0 for NaN, where Relu by itself keeps it; it has no post-op that does both at this speed. */
static dnnl_status_t append_activation(dnnl_post_ops_t ops, const skv_activation *act) {
#define ELTWISE(algorithm, alpha, beta) skv_dnnl_append_eltwise(ops, dnnl_eltwise_##algorithm, alpha, beta)
#define HARD_SWISH_OPS                  skv_dnnl_append_hard_swish(ops)
#define NO_POST_OP                      dnnl_success
    const double a = act->alpha, b = act->beta;
    switch (act->kind) {
#define X(ID, ...) case SKV_PW_##ID:
#define XF(ID, ...)
#include "ops/pointwise.inc"
#undef X
#undef XF
    case SKV_PW_NONE:
    case SKV_PW_COUNT: break;
#define X(ID, ...)
#define XF(ID, name, op, n, a0, b0, value, slope, lo, hi, course, zero, onednn, ...) \
    case SKV_PW_##ID:                                                                \
        return onednn;
#include "ops/pointwise.inc"
#undef X
#undef XF
#undef ELTWISE
#undef HARD_SWISH_OPS
#undef NO_POST_OP
    }
    return dnnl_success;
}

static skive_status make_attr(skv_kernel_node *n, bool sum, dnnl_primitive_attr_t *attr) {
    skv_activation a = {.kind = SKV_PW_NONE};
    dnnl_post_ops_t ops = NULL;
    if (n->node->domain[0]) SKV_TRY(skv_activation_read(n->ctx, n->node, &a));
    SKV_TRY(skv_dnnl_attr(n->ctx, attr));
    dnnl_status_t s = dnnl_post_ops_create(&ops);
    if (s == dnnl_success && sum) s = skv_dnnl_append_sum(ops);
    if (s == dnnl_success) s = append_activation(ops, &a);
    if (s == dnnl_success) s = dnnl_primitive_attr_set_post_ops(*attr, ops);
    if (ops) dnnl_post_ops_destroy(ops);
    return skv_dnnl_status(n->ctx, s, "convolution attributes");
}

/* An implementation for these layouts; NULL when there is none. */
static skive_status try_layouts(skv_kernel_node *n, const skv_dnnl_conv *c, const_dnnl_primitive_attr_t attr,
                                dnnl_alg_kind_t algorithm, skv_layout x, skv_layout y, conv_state *st,
                                dnnl_primitive_desc_t *out) {
    const skv_dnnl_conv_values v = {.direction = SKV_DNNL_FORWARD,
                                    .training = n->training,
                                    .bias = st->has_bias,
                                    .algorithm = algorithm,
                                    .x = &n->in[0].type,
                                    .y = &n->out[0].type,
                                    .x_layout = x,
                                    .y_layout = y};
    const dnnl_status_t s = skv_dnnl_conv_describe(c, &v, attr, NULL, st->threads, out);
    return s == dnnl_out_of_memory ? skv_dnnl_status(n->ctx, s, "convolution") : SKIVE_OK;
}

bool skv_dnnl_winograd_pays(const skv_conv_shape *s) {
    enum { CHANNELS = 64, SIDE = 14 };
    if (!skv_dnnl_has_winograd()) return false;
    if (s->g.spatial != 2 || s->groups != 1 || s->c < CHANNELS || s->m < CHANNELS) return false;
    for (int axis = 1; axis < SKV_SPATIAL; axis++) {
        if (s->g.kernel[axis] != 3 || s->g.stride[axis] != 1 || s->g.dilation[axis] != 1 || s->g.out[axis] < SIDE)
            return false;
    }
    return true;
}

/* Its weights are transformed once, so they must be constant. */
static bool suits_winograd(const skv_kernel_node *n, const skv_dnnl_conv *c) {
    if (!n->in[1].constant || n->training) return false;
    return n->in[0].layout == SKV_C16 && n->out[0].layout == SKV_C16 && skv_dnnl_winograd_pays(&c->s);
}

static skive_status choose(skv_kernel_node *n, const skv_dnnl_conv *c, const_dnnl_primitive_attr_t attr, conv_state *st,
                           dnnl_primitive_desc_t *best) {
    skv_layout xs[3];
    const size_t count = skv_dnnl_conv_layouts(c->s.c, n->in[0].layout, xs);
    *best = NULL;
    for (size_t i = 0; i < count && !*best; i++) {
        const skv_layout ys[2] = {xs[i] == SKV_PLAIN ? skv_dnnl_blocked() : xs[i], SKV_PLAIN};
        for (int k = 0; k < 2 && !*best; k++) {
            SKV_TRY(try_layouts(n, c, attr, dnnl_convolution_direct, xs[i], ys[k], st, best));
            if (!*best) continue;
            n->in[0].layout = xs[i];
            n->out[0].layout = ys[k];
        }
    }
    if (*best && suits_winograd(n, c)) {
        dnnl_primitive_desc_t desc;
        SKV_TRY(try_layouts(n, c, attr, dnnl_convolution_winograd, SKV_C16, SKV_C16, st, &desc));
        if (desc) {
            dnnl_primitive_desc_destroy(*best);
            *best = desc;
        }
    }
    return *best ? SKIVE_OK : SKV_FAIL(n->ctx, SKIVE_ERR_UNSUPPORTED, "oneDNN has no such convolution");
}

static void destroy(skive_context *ctx, void *state) {
    conv_state *st = state;
    if (!st) return;
    skv_dnnl_prim_free(&st->prim);
    skv_dnnl_operand_free(ctx, &st->w);
    skv_free(ctx, st);
}

static int threads_for(const skv_conv_shape *s, int threads) {
    const double outputs = (double)s->n * (double)s->m * (double)skv_volume(s->g.out);
    const double products = outputs * (double)(s->c / s->groups) * (double)skv_volume(s->g.kernel);
    return products < (s->c == s->groups ? PARALLEL_FROM_DEPTHWISE : PARALLEL_FROM) ? 1 : threads;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    conv_state *st = state;
    skv_dnnl_conv c;
    skv_why why;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    skv_dnnl_md w_plain = {0};
    skive_status status;
    st->has_bias = skv_kernel_has_input(n, 2);
    st->has_sum = skv_kernel_has_input(n, 3);
    if (!skv_dnnl_conv_read(n, &n->in[0].type, &n->in[1].type, &c, &why)) return SKIVE_ERR_INTERNAL;
    st->threads = threads_for(&c.s, n->threads);
    SKV_GO(status, done, make_attr(n, st->has_sum, &attr));
    SKV_GO(status, done, choose(n, &c, attr, st, &desc));
    SKV_GO(status, done, skv_dnnl_prim_from(n->ctx, desc, st->threads, "convolution", &st->prim));
    if (!skv_dnnl_md_dims(SKIVE_F32, c.w_rank, c.w_dims, &w_plain)) {
        status = SKV_FAIL(n->ctx, SKIVE_ERR_UNSUPPORTED, "its weights");
        goto done;
    }
    SKV_GO(status, done,
           skv_dnnl_operand_prepare(n, 1, skv_dnnl_md_get(&w_plain), skv_dnnl_prim_md(&st->prim, DNNL_ARG_WEIGHTS),
                                    &st->w));
    SKV_GO(status, done, skv_scratch_add(n, st->prim.scratch_bytes, &st->scratch_offset));
    if (st->has_sum) {
        n->in[3].layout = n->out[0].layout;
        n->in_place = 1u << 3;
        if (!skv_layout_bytes(&n->out[0].type, n->out[0].layout, &st->bytes)) status = SKIVE_ERR_LIMIT;
    }
done:
    skv_dnnl_md_free(&w_plain);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return status;
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(conv_state), set_up, destroy); }

static skive_status run(const skv_kernel_call *c) {
    const conv_state *st = c->n->state;
    const void *w;
    SKV_TRY(skv_dnnl_operand_get(c, 1, &st->w, &w));
    if (st->has_sum && c->out[0] != c->in[3]) memcpy(c->out[0], c->in[3], st->bytes);
    skv_dnnl_arg args[4] = {
        {DNNL_ARG_SRC, c->in[0]},
        {DNNL_ARG_WEIGHTS, w},
        {DNNL_ARG_DST, c->out[0]},
    };
    size_t n = 3;
    if (st->has_bias) args[n++] = (skv_dnnl_arg){DNNL_ARG_BIAS, c->in[2]};
    return skv_dnnl_run(c->ctx, &st->prim, args, n, (char *)c->scratch + st->scratch_offset, "convolution");
}

static const skv_op_kind ops[] = {SKV_OP_FUSED_CONV, SKV_OP_CONV, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_f32_onednn = {
    .name = "conv_f32_onednn",
    .brief = "convolution, residual and activation in one, direct",
    .ops = ops,
    .isa = SKV_ISA_AVX2,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
