/* Sum, product, largest and smallest of int64 and int32 over axes side by side; sums and products wrap. */
#include "base/parallel.h"
#include "kernels/kernel.h"
#include "ops/reduce/common_reduce.h"

enum { PARALLEL_FROM = 1 << 15, STRIP = 256 };
typedef enum fold { SUM, PRODUCT, LARGEST, SMALLEST } fold;

typedef struct reduce_state {
    fold how;
    int64_t outer, n, inner, strips;
    int threads;
} reduce_state;

static fold fold_of(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_REDUCE_SUM)) return SUM;
    if (skv_node_is(n, SKV_OP_REDUCE_PROD)) return PRODUCT;
    return skv_node_is(n, SKV_OP_REDUCE_MAX) ? LARGEST : SMALLEST;
}

/* The sizes before, along and behind the axes of the mask; false if others stand between them. */
static bool divide(const skive_type *x, uint32_t mask, reduce_state *st) {
    st->outer = st->n = st->inner = 1;
    bool begun = false, ended = false;
    for (int d = 0; d < x->rank; d++) {
        const int64_t size = x->dims[d].size;
        if (size == 1) continue;
        if (mask >> d & 1u) {
            if (ended) return false;
            begun = true;
            st->n *= size;
            continue;
        }
        ended = begun;
        *(begun ? &st->inner : &st->outer) *= size;
    }
    return true;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    reduce_state unused;
    uint32_t mask;
    if (x->dtype != SKIVE_I64 && x->dtype != SKIVE_I32) return skv_decline(why, "neither int64 nor int32");
    if (x->rank < 1 || skv_type_count(x) < 1) return skv_decline(why, "a scalar, or empty");
    if (skv_kernel_has_input(n, 1) && !n->in[1].constant) return skv_decline(why, "computed axes");
    if (!skv_reduce_axes(n->node, skv_kernel_has_input(n, 1) ? n->in[1].constant : NULL, x->rank, &mask))
        return skv_decline(why, "axes that do not match the input");
    return divide(x, mask, &unused) ? true : skv_decline(why, "axes that are not side by side");
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    reduce_state *st = state;
    const skive_type *x = &n->in[0].type;
    uint32_t mask = 0;
    if (!skv_reduce_axes(n->node, skv_kernel_has_input(n, 1) ? n->in[1].constant : NULL, x->rank, &mask) ||
        !divide(x, mask, st))
        return skv_fail_at(n->ctx, SKIVE_ERR_SHAPE, n->node->name, "the axes do not match the input");
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    for (size_t i = 1; i < n->n_in; i++) n->skips_input_data[i] = true;
    st->how = fold_of(n->node);
    st->strips = (st->inner + STRIP - 1) / STRIP;
    st->threads = skv_type_count(x) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(reduce_state), set_up, destroy); }

/* `w` columns of `n` rows that are `inner` apart; U: the unsigned type, in which sums wrap. */
#define FOLD(T, U)                                                                          \
    static void fold_##T(const reduce_state *st, const T *x, T *y, int64_t w) {             \
        if (st->inner == 1) {                                                               \
            T v = x[0];                                                                     \
            U u = (U)x[0];                                                                  \
            switch (st->how) {                                                              \
            case SUM:                                                                       \
                for (int64_t k = 1; k < st->n; k++) u += (U)x[k];                           \
                break;                                                                      \
            case PRODUCT:                                                                   \
                for (int64_t k = 1; k < st->n; k++) u *= (U)x[k];                           \
                break;                                                                      \
            case LARGEST:                                                                   \
                for (int64_t k = 1; k < st->n; k++) v = x[k] > v ? x[k] : v;                \
                break;                                                                      \
            case SMALLEST:                                                                  \
                for (int64_t k = 1; k < st->n; k++) v = x[k] < v ? x[k] : v;                \
                break;                                                                      \
            }                                                                               \
            *y = st->how == SUM || st->how == PRODUCT ? (T)u : v;                           \
            return;                                                                         \
        }                                                                                   \
        T sum[STRIP];                                                                       \
        for (int64_t i = 0; i < w; i++) sum[i] = x[i];                                      \
        for (int64_t k = 1; k < st->n; k++) {                                               \
            const T *row = x + k * st->inner;                                               \
            switch (st->how) {                                                              \
            case SUM:                                                                       \
                for (int64_t i = 0; i < w; i++) sum[i] = (T)((U)sum[i] + (U)row[i]);        \
                break;                                                                      \
            case PRODUCT:                                                                   \
                for (int64_t i = 0; i < w; i++) sum[i] = (T)((U)sum[i] * (U)row[i]);        \
                break;                                                                      \
            case LARGEST:                                                                   \
                for (int64_t i = 0; i < w; i++) sum[i] = row[i] > sum[i] ? row[i] : sum[i]; \
                break;                                                                      \
            case SMALLEST:                                                                  \
                for (int64_t i = 0; i < w; i++) sum[i] = row[i] < sum[i] ? row[i] : sum[i]; \
                break;                                                                      \
            }                                                                               \
        }                                                                                   \
        for (int64_t i = 0; i < w; i++) y[i] = sum[i];                                      \
    }
FOLD(int64_t, uint64_t)
FOLD(int32_t, uint32_t)

static skive_status run(const skv_kernel_call *c) {
    const reduce_state *st = c->n->state;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->outer * st->strips; i++) {
        const int64_t column = i % st->strips * STRIP, left = st->inner - column, w = left < STRIP ? left : STRIP;
        const int64_t from = i / st->strips * st->n * st->inner + column, to = i / st->strips * st->inner + column;
        if (c->n->in[0].type.dtype == SKIVE_I64)
            fold_int64_t(st, (const int64_t *)c->in[0] + from, (int64_t *)c->out[0] + to, w);
        else
            fold_int32_t(st, (const int32_t *)c->in[0] + from, (int32_t *)c->out[0] + to, w);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_REDUCE_SUM, SKV_OP_REDUCE_PROD, SKV_OP_REDUCE_MAX, SKV_OP_REDUCE_MIN,
                                  SKV_OP_NONE};

const skv_kernel skv_kernel_reduce_integers = {
    .name = "reduce_integers",
    .brief = "sum, product, largest and smallest of int64 and int32 over axes side by side",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
