/* QuantizeLinear and DequantizeLinear between float32 and 8 bits with one scale, in any layout. */
#include "kernels/channels.h"
#include "kernels/int8/int8.h"

enum { CHUNK = 1 << 13, SMALL = 1 << 15 };

typedef struct quantize_state {
    const skv_q8_loops *loops;
    float scale;
    int32_t zero;
    bool is_signed;
    int64_t count;
} quantize_state;

static bool forward(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_QUANTIZE_LINEAR); }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_dtype real = (forward(n) ? n->in[0] : n->out[0]).type.dtype;
    const skive_dtype byte = (forward(n) ? n->out[0] : n->in[0]).type.dtype;
    if (real != SKIVE_F32 || (byte != SKIVE_U8 && byte != SKIVE_I8))
        return skv_decline(why, "not between float32 and 8 bits");
    if (n->in[0].is_parameter) return skv_decline(why, "of a parameter");
    const bool zero = skv_kernel_has_input(n, 2);
    if (!n->in[1].constant || (zero && !n->in[2].constant)) return skv_decline(why, "the scale is not constant");
    if (n->in[1].constant->dtype != SKIVE_F32) return skv_decline(why, "a scale of 16 bits");
    if (skive_tensor_count(n->in[1].constant) != 1) return skv_decline(why, "several scales");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    quantize_state *st = NULL;
    const bool zero = skv_kernel_has_input(n, 2);
    /* Padding lanes must stay zero, which a zero point is not. */
    if (n->in[0].layout == SKV_C16 || n->in[0].layout == SKV_C8) n->in[0].layout = SKV_NHWC;
    n->out[0].layout = n->in[0].layout;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    st->loops = skv_q8_loops_of(skv_cpu_isa());
    st->scale = *(const float *)n->in[1].constant->data;
    st->zero = zero ? (int32_t)skive_tensor_get(n->in[2].constant, 0) : 0;
    st->is_signed = (forward(n) ? n->out[0] : n->in[0]).type.dtype == SKIVE_I8;
    st->count = skv_type_count(&n->out[0].type);
    n->packs_input[1] = n->packs_input[2] = true;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const quantize_state *st = c->n->state;
    const bool to_bytes = forward(c->n);
    const int32_t lo = st->is_signed ? -128 : 0, hi = st->is_signed ? 127 : 255;
    const int threads = st->count < SMALL ? 1 : c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->count; i += CHUNK) {
        const size_t n = (size_t)(st->count - i < CHUNK ? st->count - i : CHUNK);
        if (to_bytes)
            st->loops->quantize((const float *)c->in[0] + i, st->scale, st->zero, lo, hi, (uint8_t *)c->out[0] + i, n);
        else if (st->is_signed)
            st->loops->dequantize_s8((const int8_t *)c->in[0] + i, st->scale, st->zero, (float *)c->out[0] + i, n);
        else
            st->loops->dequantize_u8((const uint8_t *)c->in[0] + i, st->scale, st->zero, (float *)c->out[0] + i, n);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_QUANTIZE_LINEAR, SKV_OP_DEQUANTIZE_LINEAR, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_quantize = {
    .name = "quantize_f32_u8",
    .brief = "float32 to 8-bit integers and back with one scale, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
