/* What the drivers of the integer kernels share. */
#include "kernels/int8/int8.h"

skv_q8_out skv_q8_out_of(const skv_requant *r, float largest) {
    const int32_t shift = r->output == SKV_Q_I8 ? 128 : 0;
    return (skv_q8_out){
        .real = r->output == SKV_Q_F32,
        /* sums are int32, so a multiplier below 1 keeps them there, rounding included */
        .whole = r->output == SKV_Q_U8 && r->clamp_lo == 0 && r->clamp_hi == 255 && largest < 0.99f,
        .limit = (float)(r->clamp_hi - r->y_zero_point),
        .zero = r->y_zero_point + shift,
        .lo = (uint8_t)(r->clamp_lo + shift),
        .hi = (uint8_t)(r->clamp_hi + shift),
        .flip = (uint8_t)shift,
    };
}

bool skv_q8_bytes(const skv_kernel_node *n, skv_why *why) {
    if (n->in[0].type.dtype != SKIVE_U8 || (skv_node_is(n->node, SKV_OP_Q_ADD) && n->in[1].type.dtype != SKIVE_U8))
        return skv_decline(why, "not uint8");
    return true;
}

bool skv_q8_plain(const skv_kernel_node *n, skv_why *why) {
    if (skv_node_attr(n->node, "multiplier_q31") || skv_node_attr(n->node, "a_q31"))
        return skv_decline(why, "fixed-point multipliers");
    return skv_q8_bytes(n, why);
}

bool skv_q8_weights_constant(const skv_kernel_node *n, skv_why *why) {
    if (!n->in[1].constant) return skv_decline(why, "the weights are not constant");
    if (skv_kernel_has_input(n, 2) && !n->in[2].constant) return skv_decline(why, "the bias is not constant");
    return true;
}

bool skv_q8_constant_weights(const skv_kernel_node *n, skv_why *why) {
    return skv_q8_plain(n, why) && skv_q8_weights_constant(n, why);
}

static skive_tensor header(const skv_kernel_value *v) {
    skive_tensor t = {.dtype = v->type.dtype, .rank = v->type.rank};
    for (int d = 0; d < t.rank; d++) t.dims[d] = v->type.dims[d].size;
    return t;
}

skive_status skv_q8_conv_shape(const skv_kernel_node *n, skv_conv_shape *out) {
    const skive_tensor x = header(&n->in[0]), w = header(&n->in[1]);
    return skv_conv_shape_make(n->ctx, n->node, x.rank, x.dims, w.rank, w.dims, out);
}

const skv_q8_loops *skv_q8_loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_q8_loops_avx512) SKV_AT(isa, AVX2, &skv_q8_loops_avx2)
        SKV_AT(isa, NEON, &skv_q8_loops_neon) SKV_ELSE(isa, &skv_q8_loops_scalar);
}
