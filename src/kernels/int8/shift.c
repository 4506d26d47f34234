/* The records of QConv and QGemm whose weights are powers of two, in models that multiply by shifts alone. Elsewhere
 * they would be slower: processors that have these registers multiply as fast as they shift. */
#include "kernels/int8/shift.h"

#include "kernels/int8/dense.h"

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_conv_shape s;
    skv_q_scaling scaling;
    if (!skv_q8_dense_applicable(n, why)) return false;
    if (skv_q8_dense_geometry(n, &s) != SKIVE_OK ||
        skv_q_scaling_read(n->ctx, n->node, s.m, true, &scaling) != SKIVE_OK)
        return skv_decline(why, "no multipliers that can be read");
    bool shifts = scaling.fixed && scaling.single;
    for (int64_t i = 0; shifts && i < s.m; i++) shifts = scaling.q31[i] == (int64_t)1 << 30;
    if (!shifts) return skv_decline(why, "multipliers that are not shifts");
    const skive_tensor *w = n->in[1].constant;
    for (int64_t i = 0; i < skive_tensor_count(w); i++)
        if (skv_q8_shift_of(((const int8_t *)w->data)[i]) < -1)
            return skv_decline(why, "weights that are no powers of two up to 64");
    return true;
}

static skive_status prepare(skv_kernel_node *n, const skv_q8_gemm *gemm) {
    skv_conv_shape s;
    SKV_TRY(skv_q8_dense_shape(n, &s));
    return skv_q8_dense_prepare(n, gemm, &s);
}

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_Q_GEMM, SKV_OP_NONE};

#define RECORD(id, level, text)                                                                      \
    static skive_status prepare_##id(skv_kernel_node *n) { return prepare(n, skv_q8_shift_##id()); } \
    const skv_kernel skv_kernel_int8_shift_##id = {                                                  \
        .name = "qgemm_u8_shift_" #id,                                                               \
        .brief = text,                                                                               \
        .ops = ops,                                                                                  \
        .isa = SKV_ISA_##level,                                                                      \
        .applicable = applicable,                                                                    \
        .prepare = prepare_##id,                                                                     \
        .run = skv_q8_dense_run,                                                                     \
        .destroy = skv_q8_dense_destroy,                                                             \
    }
SKV_ON(AVX512, RECORD(avx512, AVX512, "integer convolution and product by shifts and sums, 512-bit registers");)
SKV_ON(AVX2, RECORD(avx2, AVX2, "integer convolution and product by shifts and sums, 256-bit registers");)
RECORD(scalar, SCALAR, "integer convolution and product by shifts and sums, in plain C");
