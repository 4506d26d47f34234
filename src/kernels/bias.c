/* A vector added to every row of a plain f32 tensor: the bias behind a product. */
#include "kernels/kernel.h"

enum { PARALLEL_FROM = 1 << 15 };

typedef struct bias_state {
    int64_t rows, n;
    int vector, threads; /* which input the vector is */
} bias_state;

static bool is_vector(const skive_type *t, const skive_type *y) {
    int64_t last = y->rank > 0 ? y->dims[y->rank - 1].size : 0;
    return t->rank >= 1 && t->rank <= y->rank && last > 0 && t->dims[t->rank - 1].size == last &&
           skv_type_count(t) == last;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *y = &n->out[0].type;
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent || n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    }
    if (skv_type_count(y) < 1) return skv_decline(why, "empty");
    for (int i = 0; i < 2; i++) {
        if (is_vector(&n->in[i].type, y) && skv_type_same_static(&n->in[1 - i].type, y)) return true;
    }
    return skv_decline(why, "neither operand is one row of the other");
}

static skive_status prepare(skv_kernel_node *n) {
    bias_state *st = NULL;
    const skive_type *y = &n->out[0].type;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    n->in[0].layout = n->in[1].layout = SKV_PLAIN;
    st->vector = is_vector(&n->in[1].type, y) && skv_type_same_static(&n->in[0].type, y) ? 1 : 0;
    st->n = y->dims[y->rank - 1].size;
    st->rows = skv_type_count(y) / st->n;
    st->threads = skv_type_count(y) < PARALLEL_FROM ? 1 : n->threads;
    n->in_place = st->vector == 1 ? 1u : 2u;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const bias_state *st = c->n->state;
    const float *x = c->in[1 - st->vector], *v = c->in[st->vector];
    float *y = c->out[0];
    const int threads = st->threads;
    const int64_t n = st->n;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t r = 0; r < st->rows; r++) {
        const float *from = x + r * n;
        float *to = y + r * n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) to[i] = from[i] + v[i];
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_ADD, SKV_OP_NONE};

const skv_kernel skv_kernel_bias_f32 = {
    .name = "bias_f32",
    .brief = "a vector added to every row",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
