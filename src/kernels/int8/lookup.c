/* QLookup in any layout: a byte is replaced by its entry in a table that the cache holds. */
#include "base/parallel.h"
#include "kernels/int8/int8.h"

enum { CHUNK = 1 << 13, SMALL = 1 << 15 };

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (n->in[0].is_parameter) return skv_decline(why, "of a parameter");
    return skv_type_count(&n->in[0].type) > 0 || skv_decline(why, "empty");
}

static skive_status prepare(skv_kernel_node *n) {
    /* Padding lanes must stay zero, which the table's first entry need not be. */
    if (n->in[0].layout == SKV_C16 || n->in[0].layout == SKV_C8) n->in[0].layout = SKV_NHWC;
    n->in[1].layout = SKV_PLAIN;
    n->out[0].layout = n->in[0].layout;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const int64_t count = skv_type_count(&c->n->out[0].type);
    const uint8_t *x = c->in[0], *table = c->in[1];
    uint8_t *y = c->out[0];
    const int threads = count < SMALL ? 1 : c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t first = 0; first < count; first += CHUNK) {
        const int64_t end = first + CHUNK < count ? first + CHUNK : count;
        for (int64_t i = first; i < end; i++) y[i] = table[x[i]];
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_Q_LOOKUP, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_lookup = {
    .name = "qlookup_u8",
    .brief = "one byte for another, by a table, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
};
