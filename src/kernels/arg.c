/* ArgMax and ArgMin of float32 along any axis. */
#include "kernels/kernel.h"
#include "kernels/reduce.h"

enum { PARALLEL_FROM = 1 << 15 };

typedef struct arg_state {
    const skv_reduce_loops *loops;
    int64_t outer, n, inner, strips;
    float sign;
    bool last;
    int threads;
} arg_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    if (!skv_kernel_f32(&n->in[0])) return skv_decline(why, "not float32, or empty");
    if (x->rank < 1) return skv_decline(why, "a scalar");
    if (x->dims[skv_axis(skv_attr_int(n->node, "axis", 0), x->rank)].size > INT32_MAX)
        return skv_decline(why, "an axis of more than 2^31 elements");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type;
    arg_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    n->in[0].layout = SKV_PLAIN;
    const int axis = (int)skv_axis(skv_attr_int(n->node, "axis", 0), x->rank);
    st->loops = skv_reduce_loops_of(skv_cpu_isa());
    skv_around_axis(x, axis, &st->outer, &st->n, &st->inner);
    st->strips = (st->inner + SKV_REDUCE_COLUMNS - 1) / SKV_REDUCE_COLUMNS;
    st->sign = skv_node_is(n->node, SKV_OP_ARG_MIN) ? -1 : 1;
    st->last = skv_attr_int(n->node, "select_last_index", 0) != 0;
    st->threads = skv_type_count(x) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const arg_state *st = c->n->state;
    const float *x = c->in[0];
    int64_t *y = c->out[0];
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->outer * st->strips; i++) {
        const int64_t o = i / st->strips, at = i % st->strips * SKV_REDUCE_COLUMNS, left = st->inner - at;
        if (st->inner == 1)
            y[o] = st->loops->arg_row(x + o * st->n, st->n, st->sign, st->last);
        else
            st->loops->arg_columns(x + o * st->n * st->inner + at, st->n, st->inner,
                                   left < SKV_REDUCE_COLUMNS ? left : SKV_REDUCE_COLUMNS, st->sign, st->last,
                                   y + o * st->inner + at);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_ARG_MAX, SKV_OP_ARG_MIN, SKV_OP_NONE};

const skv_kernel skv_kernel_arg_f32 = {
    .name = "arg_f32",
    .brief = "place of the largest or smallest element along an axis",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
