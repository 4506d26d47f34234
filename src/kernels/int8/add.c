/* QAdd in any layout. */
#include "kernels/channels.h"
#include "kernels/int8/int8.h"

enum { CHUNK = 1 << 14, SMALL = 1 << 15 };

typedef struct add_state {
    const skv_q8_loops *loops;
    skv_q_add q;
    skv_q_add_fixed fixed;
    int64_t count;
} add_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_q8_bytes(n, why)) return false;
    if (n->in[0].is_parameter || n->in[1].is_parameter) return skv_decline(why, "one side is a parameter");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    add_state *st = NULL;
    /* Padding lanes must stay zero, which a zero point is not. */
    if (n->in[0].layout == SKV_C16 || n->in[0].layout == SKV_C8) n->in[0].layout = SKV_NHWC;
    skv_kernel_follow_layout(n);
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    SKV_TRY(skv_q_add_read(n->ctx, n->node, &st->q));
    SKV_TRY(skv_q_add_fixed_read(n->ctx, n->node, &st->fixed));
    st->loops = skv_q8_loops_of(skv_cpu_isa());
    st->count = skv_type_count(&n->out[0].type);
    n->in_place = 3;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const add_state *st = c->n->state;
    const uint8_t *a = c->in[0], *b = c->in[1];
    uint8_t *y = c->out[0];
    const int threads = st->count < SMALL ? 1 : c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->count; i += CHUNK) {
        const int64_t n = st->count - i < CHUNK ? st->count - i : CHUNK;
        if (st->fixed.fixed)
            st->loops->add_fixed(a + i, b + i, y + i, (size_t)n, &st->q, &st->fixed);
        else
            st->loops->add(a + i, b + i, y + i, (size_t)n, &st->q);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_Q_ADD, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_add = {
    .name = "qadd_u8",
    .brief = "sum of 8-bit integers, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
