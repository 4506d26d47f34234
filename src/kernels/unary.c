/* Functions of one f32 element, in any layout and in place. */
#include "kernels/unary.h"

#include <math.h>

#include "kernels/kernel.h"

enum { PARALLEL_FROM = 1 << 14 };

typedef struct unary_state {
    skv_unary f;
    skv_unary_loop *loop;
    float a, b;
    int64_t count; /* stored elements */
    int threads;
} unary_state;

static const struct {
    skv_op_kind op;
    skv_unary f;
    bool keeps_zero; /* and so the zeros of padded channels */
} functions[] = {
    {SKV_OP_SIGMOID, SKV_UNARY_SIGMOID, false},
    {SKV_OP_TANH, SKV_UNARY_TANH, true},
    {SKV_OP_EXP, SKV_UNARY_EXP, false},
    {SKV_OP_ELU, SKV_UNARY_ELU, true},
    {SKV_OP_SOFTPLUS, SKV_UNARY_SOFTPLUS, false},
    {SKV_OP_HARD_SIGMOID, SKV_UNARY_HARD_SIGMOID, false},
    {SKV_OP_HARD_SWISH, SKV_UNARY_HARD_SWISH, true},
    {SKV_OP_LEAKY_RELU, SKV_UNARY_LEAKY_RELU, true},
    {SKV_OP_CLIP, SKV_UNARY_CLIP, false},
    {SKV_OP_NEG, SKV_UNARY_NEG, true},
    {SKV_OP_ABS, SKV_UNARY_ABS, true},
    {SKV_OP_SQRT, SKV_UNARY_SQRT, true},
    {SKV_OP_RECIPROCAL, SKV_UNARY_RECIPROCAL, false},
};

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (i == 0 ? n->in[i].absent || n->in[i].type.dtype != SKIVE_F32
                   : !n->in[i].absent && n->in[i].type.dtype != SKIVE_F32)
            return skv_decline(why, "not float32");
        if (i > 0 && !n->in[i].absent && !(n->in[i].constant && n->in[i].constant->data))
            return skv_decline(why, "computed limits");
    }
    return true;
}

skv_unary_loop *skv_unary_loop_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, skv_unary_avx512) SKV_AT(isa, AVX2, skv_unary_avx2) SKV_ELSE(isa, skv_unary_scalar);
}

static float limit(const skv_kernel_node *n, size_t i, float otherwise) {
    return i < n->n_in && !n->in[i].absent ? (float)skive_tensor_get(n->in[i].constant, 0) : otherwise;
}

static void read_parameters(const skv_kernel_node *n, unary_state *st) {
    switch (st->f) {
    case SKV_UNARY_ELU: st->a = (float)skv_attr_float(n->node, "alpha", 1); break;
    case SKV_UNARY_LEAKY_RELU: st->a = (float)skv_attr_float(n->node, "alpha", 0.01); break;
    case SKV_UNARY_HARD_SIGMOID:
        st->a = (float)skv_attr_float(n->node, "alpha", 0.2);
        st->b = (float)skv_attr_float(n->node, "beta", 0.5);
        break;
    case SKV_UNARY_CLIP:
        st->a = limit(n, 1, -INFINITY);
        st->b = limit(n, 2, INFINITY);
        break;
    default: break;
    }
}

static skive_status prepare(skv_kernel_node *n) {
    unary_state *st = NULL;
    size_t bytes, i = 0;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    while (!skv_node_is(n->node, functions[i].op)) i++;
    st->f = functions[i].f;
    st->loop = skv_unary_loop_of(skv_cpu_isa());
    read_parameters(n, st);
    const skive_type *x = &n->in[0].type;
    const int64_t block = n->in[0].layout == SKV_C16 ? 16 : n->in[0].layout == SKV_C8 ? 8 : 1;
    const bool zero_stays = functions[i].keeps_zero || (st->f == SKV_UNARY_CLIP && st->a <= 0 && st->b >= 0);
    if (x->rank > 1 && x->dims[1].size % block != 0 && !zero_stays) n->in[0].layout = SKV_PLAIN;
    n->out[0].layout = n->in[0].layout;
    for (size_t k = 1; k < n->n_in; k++) n->packs_input[k] = true;
    if (!skv_layout_bytes(&n->out[0].type, n->out[0].layout, &bytes))
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too large");
    st->count = (int64_t)(bytes / sizeof(float));
    st->threads = st->count < PARALLEL_FROM ? 1 : n->threads;
    n->in_place = 1u;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const unary_state *st = c->n->state;
    const float *x = c->in[0];
    float *y = c->out[0];
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        const int64_t first = st->count * t / threads, last = st->count * (t + 1) / threads;
        st->loop(st->f, st->a, st->b, x + first, y + first, last - first);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {
    SKV_OP_SIGMOID,    SKV_OP_TANH, SKV_OP_EXP, SKV_OP_ELU, SKV_OP_SOFTPLUS, SKV_OP_HARD_SIGMOID, SKV_OP_HARD_SWISH,
    SKV_OP_LEAKY_RELU, SKV_OP_CLIP, SKV_OP_NEG, SKV_OP_ABS, SKV_OP_SQRT,     SKV_OP_RECIPROCAL,   SKV_OP_NONE};

const skv_kernel skv_kernel_unary_f32 = {
    .name = "unary_f32",
    .brief = "activations and other functions of one element, in any layout and in place",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
