/* Signs in any layout. */
#include "kernels/channels.h"
#include "kernels/int8/int8.h"

enum { CHUNK = 1 << 14, SMALL = 1 << 15 };

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (n->in[0].type.dtype != SKIVE_F32 || n->in[0].is_parameter) return skv_decline(why, "not float32");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    /* Padding lanes must stay zero, which the sign of zero is not. */
    if (n->in[0].layout == SKV_C16 || n->in[0].layout == SKV_C8) n->in[0].layout = SKV_NHWC;
    n->out[0].layout = n->in[0].layout;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const skv_q8_loops *loops = skv_q8_loops_of(skv_cpu_isa());
    const int64_t count = skv_type_count(&c->n->in[0].type);
    const int threads = count < SMALL ? 1 : c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < count; i += CHUNK)
        loops->signs((const float *)c->in[0] + i, (uint8_t *)c->out[0] + i,
                     (size_t)(count - i < CHUNK ? count - i : CHUNK));
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_SIGNS, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_signs = {
    .name = "signs_u8",
    .brief = "signs of float32 as uint8, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
};
