/* QConv, ConvInteger and ConvIntegerToFloat of few channels, and of groups of few, over padded planes in float32
 * (kernels/conv_planes.h). As long as no sum of the absolute products of a result can reach 2^24, all sums of integers
 * on the way are numbers of float32 and the result is exact, in whichever order they are made. What a tile of integers
 * needs, windows gathered together and whole groups of channels, costs more here than the wider numbers do. */
#include <stdlib.h>

#include "kernels/conv_planes.h"
#include "kernels/int8/int8.h"
#include "ops/quant/common_conv_integer.h"

enum {
    MOST_IN = 16, /* channels going into a group, and out of it, where there are several; else twice as many go in */
    MOST_TAPS = 256,
    FEW_TAPS = 16,
    EXACT = 1 << 24,
    CHUNK = 256, /* sums requantized at once */
};

typedef struct planes_state {
    skv_planes p;
    skv_planes_copy *copy;
    int32_t zero; /* of x in a QConv */
    float *w;
    /* QConv */
    bool quantizes;
    const skv_q8_loops *loops;
    skv_requant r;
    size_t item; /* bytes of an output element */
    int32_t *bias;
    float *multiplier;
    /* ConvIntegerToFloat */
    bool to_float, relu;
} planes_state;

static bool is_quantized(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_Q_CONV); }

static int32_t weight_zero(const skv_kernel_node *n, int64_t m) {
    if (is_quantized(n) || !skv_kernel_has_input(n, SKV_CI_W_ZERO)) return 0;
    const skive_tensor *zeros = n->in[SKV_CI_W_ZERO].constant;
    return (int32_t)skive_tensor_get(zeros, skive_tensor_count(zeros) > 1 ? m : 0);
}

static int32_t weight_at(const skive_tensor *w, int64_t i) {
    return w->dtype == SKIVE_I8 ? ((const int8_t *)w->data)[i] : ((const uint8_t *)w->data)[i];
}

/* Is the largest sum of absolute products below 2^24, with inputs no further than 255 from their zero point? */
static bool is_exact(const skv_kernel_node *n) {
    const skive_tensor *w = n->in[1].constant;
    const int64_t filters = w->dims[0], taps = skive_tensor_count(w) / filters;
    for (int64_t m = 0; m < filters; m++) {
        const int32_t zero = weight_zero(n, m);
        int64_t sum = 0;
        for (int64_t t = 0; t < taps; t++) sum += llabs((long long)weight_at(w, m * taps + t) - zero);
        if (sum >= EXACT / 255) return false;
    }
    return true;
}

/* Instructions that multiply and add four bytes at once. */
static bool has_byte_products(void) {
    const skv_isa isa = skv_cpu_isa();
    (void)isa;
    SKV_ON(AVX512_VNNI, if (skv_isa_has(isa, SKV_ISA_AVX512_VNNI)) return true;)
    SKV_ON(DOTPROD, if (skv_isa_has(isa, SKV_ISA_DOTPROD)) return true;)
    return false;
}

typedef struct form {
    int64_t in, out, window, groups;
    bool strided, apart, vain; /* windows that do not overlap along a line; more than a third of a line's positions */
} form;

static form form_of(const skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type, *y = &n->out[0].type;
    size_t count;
    const int64_t *strides = skv_attr_ints(n->node, "strides", &count);
    const int64_t taps = w->dims[w->rank - 1].size, width = y->dims[y->rank - 1].size;
    form f = {.in = w->dims[1].size, .groups = skv_attr_int(n->node, "group", 1), .vain = 3 * (taps - 1) > width};
    f.out = w->dims[0].size / f.groups;
    f.window = skv_type_count(w) / w->dims[0].size / f.in;
    for (int d = 2; d < x->rank; d++) {
        const int64_t stride = (size_t)(d - 2) < count ? strides[d - 2] : 1;
        f.strided = f.strided || stride > 1;
        f.apart = d == x->rank - 1 && stride >= taps;
    }
    return f;
}

/* Measured on Zen 3 against tiles of 16-bit numbers (bench/sweep): up to MOST_TAPS products of a result, and groups of
 * up to MOST_IN channels; with bytes as results, which those tiles make at once, windows that overlap, in lines not too
 * short. Against products of bytes, four times as many in an instruction, what the sweep shows for these planes with
 * float32 and for those tiles: a single channel with a small window, and groups without strides. */
static bool is_faster(const form *f, bool bytes) {
    if (f->groups > 1 && f->in == 1 && f->out == 1) return false; /* depthwise, which has a kernel of its own */
    if (bytes && f->window > 1 && (f->apart || f->vain)) return false;
    if (f->groups > 1) {
        if (has_byte_products()) return f->in <= MOST_IN / 2 && f->out <= MOST_IN / 2 && f->window > 1 && !f->strided;
        return f->in <= MOST_IN && f->out <= MOST_IN;
    }
    if (f->window == 1 || f->in > 2 * MOST_IN) return false;
    if (has_byte_products()) return f->in == 1 && f->window <= FEW_TAPS;
    if (f->in * f->window > MOST_TAPS) return false;
    if (!bytes) return true;
    /* A line of planes gives one result in two, or fewer, of a strided window; tiles make bytes of many filters at once. */
    if (f->strided) return f->in < MOST_IN / 2 && f->out <= MOST_IN;
    return f->in < MOST_IN / 2 || f->out <= (f->in < MOST_IN ? MOST_IN : MOST_IN / 2);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type;
    if (x->rank < 3 || x->rank > 2 + SKV_SPATIAL) return skv_decline(why, "rank %d", x->rank);
    if (is_quantized(n) && !skv_q8_constant_weights(n, why)) return false;
    if (!n->in[1].constant || !n->in[1].constant->data) return skv_decline(why, "the weights are not constant");
    if (!is_quantized(n) && skv_kernel_has_input(n, SKV_CI_W_ZERO) && !n->in[SKV_CI_W_ZERO].constant)
        return skv_decline(why, "the zero point of the weights is not constant");
    if (!is_quantized(n) && skv_kernel_has_input(n, SKV_CI_SCALE) && n->in[SKV_CI_SCALE].type.dtype != SKIVE_F32)
        return skv_decline(why, "not float32");
    if (skv_type_count(x) == 0 || skv_type_count(w) == 0 || skv_type_count(&n->out[0].type) == 0)
        return skv_decline(why, "empty");
    const form f = form_of(n);
    if (!is_faster(&f, is_quantized(n)))
        return skv_decline(why, "channels of which whole groups are multiplied at once");
    if (!is_exact(n)) return skv_decline(why, "sums that float32 may round");
    return true;
}

static void copy_u8(const void *x, int64_t at, int64_t step, int64_t n, int32_t zero, float *to) {
    const uint8_t *from = (const uint8_t *)x + at;
    if (step == 1)
        for (int64_t i = 0; i < n; i++) to[i] = (float)((int32_t)from[i] - zero);
    else
        for (int64_t i = 0; i < n; i++) to[i] = (float)((int32_t)from[i * step] - zero);
}

static void copy_s8(const void *x, int64_t at, int64_t step, int64_t n, int32_t zero, float *to) {
    const int8_t *from = (const int8_t *)x + at;
    for (int64_t i = 0; i < n; i++) to[i] = (float)((int32_t)from[i * step] - zero);
}

static skive_status pack(skv_kernel_node *n, planes_state *st) {
    const skive_tensor *w = n->in[1].constant;
    const int64_t count = skive_tensor_count(w), taps = count / w->dims[0];
    float *plain = NULL;
    n->state_bytes = st->p.weight_floats * sizeof(float);
    SKV_TRY(skv_arena_alloc(n->weights, n->state_bytes, &st->w));
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)count, sizeof *plain, &plain));
    for (int64_t i = 0; i < count; i++) plain[i] = (float)(weight_at(w, i) - weight_zero(n, i / taps));
    skv_planes_pack(&st->p, plain, st->w);
    skv_free(n->ctx, plain);
    n->packs_input[1] = true;
    return SKIVE_OK;
}

static skive_status read_quantized(skv_kernel_node *n, planes_state *st) {
    const size_t m = (size_t)st->p.s.m;
    const skive_tensor *bias = skv_q8_bias(n);
    skv_q_scaling scaling;
    SKV_TRY(skv_q_zero_point(n->ctx, n->node, "x_zero_point", &st->zero));
    SKV_TRY(skv_q_scaling_read(n->ctx, n->node, st->p.s.m, true, &scaling));
    SKV_TRY(skv_q_check_sums(n->ctx, n->node, st->zero, n->in[1].constant->data, st->p.s.m, st->p.taps,
                             bias ? bias->data : NULL));
    st->r = scaling.r;
    st->item = st->r.output == SKV_Q_F32 ? sizeof(float) : 1;
    SKV_TRY(skv_arena_array(n->weights, m, sizeof *st->bias, &st->bias));
    SKV_TRY(skv_arena_array(n->weights, m, sizeof *st->multiplier, &st->multiplier));
    for (size_t i = 0; i < m; i++) {
        st->bias[i] = bias ? ((const int32_t *)bias->data)[i] : 0;
        st->multiplier[i] = (float)scaling.multiplier[i];
    }
    n->packs_input[2] = true;
    return SKIVE_OK;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    planes_state *st = state;
    skv_conv_shape s;
    SKV_TRY(skv_q8_conv_shape(n, &s));
    SKV_TRY(skv_planes_plan(n, &s, &st->p));
    st->loops = skv_q8_loops_of(skv_cpu_isa());
    st->copy = n->in[0].type.dtype == SKIVE_I8 ? copy_s8 : copy_u8;
    st->quantizes = is_quantized(n);
    st->item = sizeof(int32_t);
    if (st->quantizes) SKV_TRY(read_quantized(n, st));
    st->to_float = !st->quantizes && skv_kernel_has_input(n, SKV_CI_SCALE);
    st->relu = skv_attr_int(n->node, "relu", 0) != 0;
    return pack(n, st);
}

static void destroy(skive_context *ctx, void *state) {
    planes_state *st = state;
    skv_free(ctx, st->p.offsets);
    skv_free(ctx, st);
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(planes_state), set_up, destroy); }

static void make_real(const planes_state *st, const skv_kernel_call *c, int64_t channel, const float *sums, float *y,
                      int64_t n) {
    const bool many = skv_type_count(&c->n->in[SKV_CI_SCALE].type) > 1;
    const float by = ((const float *)c->in[SKV_CI_SCALE])[many ? channel : 0];
    if (skv_kernel_has_input(c->n, SKV_CI_BIAS)) {
        const float add = ((const float *)c->in[SKV_CI_BIAS])[channel];
        for (int64_t k = 0; k < n; k++) y[k] = sums[k] * by + add;
    } else {
        for (int64_t k = 0; k < n; k++) y[k] = sums[k] * by;
    }
    for (int64_t k = 0; st->relu && k < n; k++) y[k] = y[k] < 0 ? 0.0f : y[k];
}

static void requant(const planes_state *st, int64_t channel, const float *sums, char *y, int64_t n) {
    int32_t whole[CHUNK];
    const int32_t bias = st->bias[channel];
    for (int64_t k = 0; k < n; k++) whole[k] = (int32_t)sums[k] + bias;
    st->loops->requant(whole, st->multiplier + channel, 0, y, (size_t)n, &st->r);
}

static void finish_lines(const skv_kernel_call *c, const float *sums, int64_t lines, int64_t channel, int64_t first) {
    const planes_state *st = c->n->state;
    const int64_t n = st->p.s.g.out[2], width = st->p.width;
    char *y = (char *)c->out[0] + (size_t)first * st->item;
    if (st->to_float) {
        for (int64_t i = 0; i < lines; i++) make_real(st, c, channel, sums + i * width, (float *)(void *)y + i * n, n);
    } else if (!st->quantizes) {
        for (int64_t i = 0; i < lines; i++)
            for (int64_t k = 0; k < n; k++) ((int32_t *)(void *)y)[i * n + k] = (int32_t)sums[i * width + k];
    } else {
        for (int64_t i = 0; i < lines; i++)
            for (int64_t at = 0; at < n; at += CHUNK)
                requant(st, channel, sums + i * width + at, y + (size_t)(i * n + at) * st->item,
                        n - at < CHUNK ? n - at : CHUNK);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const planes_state *st = c->n->state;
    const void *given = !st->quantizes && c->n->n_in > SKV_CI_X_ZERO ? c->in[SKV_CI_X_ZERO] : NULL;
    const bool is_signed = c->n->in[0].type.dtype == SKIVE_I8;
    const int32_t zero = !given ? st->zero : is_signed ? *(const int8_t *)given : *(const uint8_t *)given;
    skv_planes_run(&st->p, c, st->w, st->copy, zero, finish_lines);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_CONV_INTEGER, SKV_OP_CONV_INTEGER_TO_FLOAT, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_planes = {
    .name = "conv_integer_planes",
    .brief = "integer convolution of few channels or groups of few, over padded planes in float32, exact",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
