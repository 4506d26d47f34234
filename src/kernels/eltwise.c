/* Element-wise f32 work on operands of one shape, in whatever layout they come: Relu, its gradient, and sums,
 * differences and products. The loops are plain; the compiler vectorises them, and memory is what limits them. */
#include <string.h>

#include "kernels/kernel.h"

enum { PARALLEL_FROM = 1 << 15 };

typedef enum eltwise_kind { RELU, RELU_GRAD, ADD, SUB, MUL } eltwise_kind;

typedef struct eltwise_state {
    eltwise_kind kind;
    int64_t count; /* stored elements, padding included: zeros give zeros */
    int threads;
} eltwise_state;

static const struct {
    skv_op_kind op;
    eltwise_kind kind;
} kinds[] = {
    {SKV_OP_RELU, RELU}, {SKV_OP_RELU_GRAD, RELU_GRAD}, {SKV_OP_ADD, ADD}, {SKV_OP_SUB, SUB}, {SKV_OP_MUL, MUL}};

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent || n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
        if (!skv_type_same_static(&n->in[i].type, &n->out[0].type))
            return skv_decline(why, "operands of different shapes");
        if (n->in[i].is_parameter) return skv_decline(why, "an operand is a parameter");
    }
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    eltwise_state *st = NULL;
    size_t bytes;
    skv_kernel_follow_layout(n);
    if (!skv_layout_bytes(&n->out[0].type, n->out[0].layout, &bytes))
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too large");
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->count = (int64_t)(bytes / sizeof(float));
    st->threads = st->count < PARALLEL_FROM ? 1 : n->threads;
    for (size_t i = 0; i < SKV_COUNT(kinds); i++) {
        if (skv_node_is(n->node, kinds[i].op)) st->kind = kinds[i].kind;
    }
    n->state = st;
    n->in_place = st->kind == RELU ? 1u : 3u;
    return SKIVE_OK;
}

/* Both operands are read before the choice, or the compiler would branch instead. The result may lie on an operand,
 * element on element, which `omp simd` allows. */
static void piece(eltwise_kind kind, const float *a, const float *b, float *y, int64_t n) {
    switch (kind) {
    case RELU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float v = a[i];
            y[i] = v < 0 ? 0.0f : v; /* a NaN stays one */
        }
        break;
    case RELU_GRAD:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float v = a[i], by = b[i];
            y[i] = by > 0 ? v : 0.0f;
        }
        break;
    case ADD:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
        break;
    case SUB:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = a[i] - b[i];
        break;
    case MUL:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = a[i] * b[i];
        break;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const eltwise_state *st = c->n->state;
    const float *a = c->in[0], *b = c->n->n_in > 1 ? c->in[1] : a;
    float *y = c->out[0];
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        const int64_t first = st->count * t / threads, last = st->count * (t + 1) / threads;
        piece(st->kind, a + first, b + first, y + first, last - first);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_RELU, SKV_OP_RELU_GRAD, SKV_OP_ADD, SKV_OP_SUB, SKV_OP_MUL, SKV_OP_NONE};

const skv_kernel skv_kernel_eltwise_f32 = {
    .name = "eltwise_f32",
    .brief = "Relu and its gradient, sums and products of one shape, in any layout and in place",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
