/* Functions of one f32 element, in any layout and in place. */
#include "kernels/unary.h"

#include <math.h>

#include "kernels/kernel.h"

enum { PARALLEL_FROM = 1 << 14 };

typedef struct unary_state {
    skv_pointwise f;
    skv_unary_loop *loop;
    float a, b;
    int64_t count; /* stored elements */
    int threads;
} unary_state;

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
    return skv_kernel_has_input(n, i) ? (float)skive_tensor_get(n->in[i].constant, 0) : otherwise;
}

/* The bounds of Clip are inputs. */
static void read_parameters(const skv_kernel_node *n, skv_pointwise f, double p[2]) {
    skv_pointwise_params(n->node, skv_pointwise_at(f), p);
    if (f != SKV_PW_CLIP) return;
    p[0] = limit(n, 1, -INFINITY);
    p[1] = limit(n, 2, INFINITY);
}

static skive_status prepare(skv_kernel_node *n) {
    unary_state *st = NULL;
    size_t bytes;
    double p[2];
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    st->f = skv_pointwise_of(n->node);
    st->loop = skv_unary_loop_of(skv_cpu_isa());
    read_parameters(n, st->f, p);
    st->a = (float)p[0];
    st->b = (float)p[1];
    const skive_type *x = &n->in[0].type;
    const int64_t block = n->in[0].layout == SKV_C16 ? 16 : n->in[0].layout == SKV_C8 ? 8 : 1;
    const bool zero_stays = skv_pointwise_at(st->f)->keeps_zero(p);
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
#define X(ID, ...)
#define XF(ID, name, op, ...) op,
#include "ops/pointwise.inc"
#undef X
#undef XF
    SKV_OP_NONE,
};

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
