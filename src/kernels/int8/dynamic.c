/* DynamicQuantizeLinear from float32: the range in one pass, the integers in another. */
#include "kernels/int8/int8.h"
#include "tensor/grid.h"

enum { CHUNK = 1 << 13, SMALL = 1 << 15 };

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (n->in[0].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    return true;
}

/* Channels may stand last: every number is treated alike. */
static skive_status prepare(skv_kernel_node *n) {
    if (n->in[0].layout == SKV_C16 || n->in[0].layout == SKV_C8) n->in[0].layout = SKV_NHWC;
    n->out[0].layout = n->in[0].layout;
    for (size_t i = 1; i < n->n_out; i++) n->out[i].layout = SKV_PLAIN;
    return SKIVE_OK;
}

void skv_q8_dynamic(const skv_q8_loops *loops, const float *x, size_t n, uint8_t *y, float *scale, int32_t *zero) {
    float low = 0, high = 0;
    skv_grid_params p;
    loops->range(x, n, &low, &high);
    skv_grid_dynamic_u8(low, high, &p);
    *scale = p.scale;
    *zero = p.zero_point;
    loops->quantize(x, *scale, *zero, 0, 255, y, n);
}

static skive_status run(const skv_kernel_call *c) {
    const skv_q8_loops *loops = skv_q8_loops_of(skv_cpu_isa());
    const float *x = c->in[0];
    const int64_t count = skv_type_count(&c->n->in[0].type);
    const int threads = count < SMALL ? 1 : c->n->threads;
    float low = 0, high = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(min                  \
                                                                         : low) reduction(max \
                                                                                          : high) if (threads > 1)
    for (int64_t i = 0; i < count; i += CHUNK)
        loops->range(x + i, (size_t)(count - i < CHUNK ? count - i : CHUNK), &low, &high);
    skv_grid_params p;
    skv_grid_dynamic_u8(low, high, &p);
    if (c->out[0]) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t i = 0; i < count; i += CHUNK)
            loops->quantize(x + i, p.scale, p.zero_point, 0, 255, (uint8_t *)c->out[0] + i,
                            (size_t)(count - i < CHUNK ? count - i : CHUNK));
    }
    if (c->out[1]) *(float *)c->out[1] = p.scale;
    if (c->out[2]) *(uint8_t *)c->out[2] = (uint8_t)p.zero_point;
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_DYNAMIC_QUANTIZE_LINEAR, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_dynamic = {
    .name = "dynamic_quantize",
    .brief = "float32 to uint8 by the range of the input",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
};
