/* f32 sums, differences, products and quotients of a tensor and one number, or one number a channel:
 * squeeze-and-excite's scaling, biases and scales that were not folded; and BatchNormalization that stands alone. The
 * tensor keeps its layout. */
#include <math.h>

#include "kernels/kernel.h"

enum { PARALLEL_FROM = 1 << 14 };

/* SUB_FROM: c - x, DIV_BY: c / x, SCALE: c x + shift */
typedef enum channel_op { ADD, SUB, SUB_FROM, MUL, DIV, DIV_BY, SCALE } channel_op;

typedef struct channel_state {
    channel_op op;
    int64_t outer, channels, inner; /* coefficients [outer or 1][channels] */
    int64_t step;                   /* coefficients from one outer index to the next */
    int tensor, threads;            /* which input the tensor is */
    int64_t block;                  /* channels side by side at a position; 0: all of them */
    float *packed;                  /* constant coefficients in the tensor's order of channels; NULL: as they come */
    float *shift;                   /* of SCALE, packed likewise */
} channel_state;

/* Is t one number, or one for each index of the first two axes of y at most? */
static bool is_coefficient(const skive_type *t, const skive_type *y) {
    if (t->rank > y->rank) return false;
    for (int d = 0; d < t->rank; d++) {
        const int at = d + y->rank - t->rank;
        if (t->dims[d].size != 1 && (at > 1 || t->dims[d].size != y->dims[at].size)) return false;
    }
    /* one number a sample, for all channels, is not such */
    const int64_t channels = y->rank > 1 ? y->dims[1].size : 1, count = skv_type_count(t);
    return count == 1 || (channels > 1 && count % channels == 0 && t->rank >= y->rank - 1 &&
                          t->dims[t->rank - (y->rank - 1)].size == channels);
}

static int tensor_of(const skv_kernel_node *n) {
    for (int i = 0; i < 2; i++)
        if (skv_type_same_static(&n->in[i].type, &n->out[0].type) &&
            is_coefficient(&n->in[1 - i].type, &n->out[0].type))
            return i;
    return -1;
}

enum { BN_X, BN_SCALE, BN_BIAS, BN_MEAN, BN_VARIANCE, BN_INPUTS };
static bool is_norm(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_BATCH_NORMALIZATION); }

static bool applicable_norm(const skv_kernel_node *n, skv_why *why) {
    if (skv_attr_int(n->node, "training_mode", 0)) return skv_decline(why, "in training");
    for (size_t i = 0; i < BN_INPUTS; i++) {
        if (n->in[i].absent || n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
        if (i != BN_X && !(n->in[i].constant && n->in[i].constant->data))
            return skv_decline(why, "scale or statistics are not constant");
    }
    if (n->in[BN_X].type.rank < 2) return skv_decline(why, "rank %d", n->in[BN_X].type.rank);
    return true;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (is_norm(n)) return applicable_norm(n, why);
    for (size_t i = 0; i < 2; i++)
        if (n->in[i].absent || n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    const int tensor = tensor_of(n);
    if (tensor < 0) return skv_decline(why, "neither operand is one number, or one per channel");
    if (n->in[tensor].is_parameter) return skv_decline(why, "the larger operand is a parameter");
    return true;
}

/* Constant coefficients in the order of the channels, those of the padding such that it stays zero. */
static skive_status pack(skv_kernel_node *n, channel_state *st, const skive_tensor *from, int64_t padded) {
    const int64_t count = skive_tensor_count(from), rows = st->step ? st->outer : 1;
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)(rows * padded) + 1, sizeof(float), &st->packed));
    n->state_bytes = (size_t)(rows * padded) * sizeof(float);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < padded; c++) {
            const int64_t at = count == 1 ? 0 : r * st->channels + c;
            st->packed[r * padded + c] = c < st->channels ? ((const float *)from->data)[at] : st->op == DIV ? 1 : 0;
        }
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) {
    channel_state *st = state;
    if (!st) return;
    skv_free(ctx, st->packed);
    skv_free(ctx, st->shift);
    skv_free(ctx, st);
}

/* (x - mean) / sqrt(variance + epsilon) * scale + bias as one product and one sum. */
static skive_status pack_norm(skv_kernel_node *n, channel_state *st, int64_t padded) {
    const float *scale = n->in[BN_SCALE].constant->data, *bias = n->in[BN_BIAS].constant->data,
                *mean = n->in[BN_MEAN].constant->data, *variance = n->in[BN_VARIANCE].constant->data;
    const double epsilon = skv_attr_float(n->node, "epsilon", 1e-5);
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)padded + 1, sizeof(float), &st->packed));
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)padded + 1, sizeof(float), &st->shift));
    n->state_bytes = 2 * (size_t)padded * sizeof(float);
    for (int64_t c = 0; c < st->channels; c++) {
        const double by = (double)scale[c] / sqrt((double)variance[c] + epsilon);
        st->packed[c] = (float)by;
        st->shift[c] = (float)((double)bias[c] - (double)mean[c] * by);
    }
    return SKIVE_OK;
}

static void size_up(channel_state *st, const skive_type *y, skv_layout layout) {
    const int64_t block = skv_layout_block(layout);
    st->outer = y->rank > 0 ? y->dims[0].size : 1;
    st->channels = y->rank > 1 ? y->dims[1].size : 1;
    st->inner = st->outer > 0 && st->channels > 0 ? skv_type_count(y) / (st->outer * st->channels) : 0;
    /* single positions: channels side by side */
    st->block = layout == SKV_NHWC || (block == 1 && st->inner == 1) ? 0 : block;
}

static skive_status prepare_norm(skv_kernel_node *n) {
    const skive_type *y = &n->out[0].type;
    const skv_layout layout = n->in[BN_X].layout;
    channel_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->op = SCALE;
    size_up(st, y, layout);
    const int64_t block = skv_layout_block(layout);
    const skive_status status = pack_norm(n, st, (st->channels + block - 1) / block * block);
    if (status != SKIVE_OK) {
        destroy(n->ctx, st);
        return status;
    }
    for (size_t i = BN_SCALE; i < BN_INPUTS; i++) n->packs_input[i] = true;
    n->state = st;
    n->out[0].layout = layout;
    n->in_place = 1u;
    st->threads = skv_type_count(y) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    if (is_norm(n)) return prepare_norm(n);
    static const channel_op plain[4] = {ADD, SUB, MUL, DIV}, turned[4] = {ADD, SUB_FROM, MUL, DIV_BY};
    const skive_type *y = &n->out[0].type;
    channel_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    st->tensor = tensor_of(n);
    const int which = skv_node_is(n->node, SKV_OP_ADD)   ? 0
                      : skv_node_is(n->node, SKV_OP_SUB) ? 1
                      : skv_node_is(n->node, SKV_OP_MUL) ? 2
                                                         : 3;
    st->op = (st->tensor == 0 ? plain : turned)[which];
    skv_kernel_value *x = &n->in[st->tensor], *k = &n->in[1 - st->tensor];
    const int64_t count = skv_type_count(&k->type);
    size_up(st, y, x->layout);
    /* A layout with padded channels must keep them zero: what cannot promise it works on plain memory. */
    const bool padded = st->channels % skv_layout_block(x->layout) != 0;
    const bool keeps_zero =
        (st->op == MUL || (k->constant && st->op != DIV_BY)) && (k->constant || (count > 1 && k->type.rank == y->rank));
    if (padded && !keeps_zero) x->layout = SKV_PLAIN;
    const int64_t block = skv_layout_block(x->layout), width = (st->channels + block - 1) / block * block;
    size_up(st, y, x->layout);
    st->step = count > st->channels ? width : 0;
    if (k->constant) {
        n->packs_input[1 - st->tensor] = true;
        const skive_status status = pack(n, st, k->constant, width);
        if (status != SKIVE_OK) {
            skv_free(n->ctx, st);
            return status;
        }
    } else {
        k->layout = !k->is_parameter && k->type.rank == y->rank && count > 1 ? x->layout : SKV_PLAIN;
    }
    if (count == 1 && !k->constant)
        st->channels = 1, st->inner = skv_type_count(y), st->outer = st->block = 1, st->step = 0;
    n->out[0].layout = x->layout;
    n->in_place = 1u << st->tensor;
    st->threads = skv_type_count(y) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

#define LOOP(expression)                                  \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
        const float a = x[i], k = c[step * i];            \
        y[i] = expression;                                \
    }                                                     \
    break

/* n elements with a coefficient each, or one for all. */
static inline __attribute__((always_inline)) void piece(channel_op op, const float *x, const float *c,
                                                        const float *shift, float *y, int64_t n, const int step) {
    switch (op) {
    case ADD: LOOP(a + k);
    case SUB: LOOP(a - k);
    case SUB_FROM: LOOP(k - a);
    case MUL: LOOP(a * k);
    case DIV: LOOP(a / k);
    case DIV_BY: LOOP(k / a);
    case SCALE: LOOP(a * k + shift[step * i]);
    }
}

/* One run of channels: all positions of `outer` o and the channel (or the block of them) number b. */
static void one_run(const channel_state *st, int64_t o, int64_t b, const float *x, const float *c, float *y) {
    const float *k = c + o * st->step, *shift = st->shift ? st->shift : k; /* which SCALE alone reads */
    if (st->block == 1) {                                                  /* a channel's positions side by side */
        const int64_t at = (o * st->channels + b) * st->inner;
        piece(st->op, x + at, k + b, shift + b, y + at, st->inner, 0);
        return;
    }
    const int64_t width = st->block ? st->block : st->channels,
                  runs = st->block ? (st->channels + width - 1) / width : 1;
    const int64_t at = (o * runs + b) * st->inner * width;
    shift += b * width;
    for (int64_t p = 0; p < st->inner; p++) {
        if (width == 16)
            piece(st->op, x + at + p * 16, k + b * 16, shift, y + at + p * 16, 16, 1);
        else
            piece(st->op, x + at + p * width, k + b * width, shift, y + at + p * width, width, 1);
    }
}

static skive_status run(const skv_kernel_call *call) {
    const channel_state *st = call->n->state;
    const float *x = call->in[st->tensor], *c = st->packed ? st->packed : call->in[1 - st->tensor];
    float *y = call->out[0];
    const int threads = st->threads;
    const int64_t runs = st->block ? (st->channels + st->block - 1) / st->block : 1;
#pragma omp parallel for collapse(2) num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t o = 0; o < st->outer; o++)
        for (int64_t b = 0; b < runs; b++) one_run(st, o, b, x, c, y);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_ADD, SKV_OP_SUB, SKV_OP_MUL, SKV_OP_DIV, SKV_OP_BATCH_NORMALIZATION,
                                  SKV_OP_NONE};

const skv_kernel skv_kernel_channel_f32 = {
    .name = "channel_f32",
    .brief = "a tensor with one number, or one per channel, in any layout and in place",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
