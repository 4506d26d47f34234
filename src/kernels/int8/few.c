/* The records of QConv, QConvAdd and QGemm with weights of 4 bits or fewer. */
#include "kernels/int8/few.h"

#include "kernels/int8/dense.h"

/* Small weights stay in the nearest cache as bytes, and taking them apart for many positions is work. */
enum { SMALL = 1 << 13, FEW_POSITIONS = 3 };

static bool small(const skv_kernel_node *n, size_t count) {
    const skive_type *y = &n->out[0].type;
    return count < SMALL && skv_type_count(y) > FEW_POSITIONS * y->dims[1].size;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    int32_t factor;
    if (!skv_q8_dense_applicable(n, why)) return false;
    const skive_tensor *w = n->in[1].constant;
    const size_t count = (size_t)skive_tensor_count(w);
    if (small(n, count)) return skv_decline(why, "few weights");
    if (count / (size_t)w->dims[0] > SKV_Q8_FEW_LONGEST) return skv_decline(why, "sums too long");
    if (!skv_q8_few_bits(w->data, count, &factor)) return skv_decline(why, "weights of more than 4 bits");
    return true;
}

static skive_status prepare(skv_kernel_node *n, const skv_q8_gemm *(*gemm)(int bits)) {
    const skive_tensor *w = n->in[1].constant;
    int32_t factor;
    skv_conv_shape s;
    SKV_TRY(skv_q8_dense_shape(n, &s));
    return skv_q8_dense_prepare(n, gemm(skv_q8_few_bits(w->data, (size_t)skive_tensor_count(w), &factor)), &s);
}

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_Q_CONV_ADD, SKV_OP_Q_GEMM, SKV_OP_NONE};

#define RECORD(id, level, text)                                                                  \
    static skive_status prepare_##id(skv_kernel_node *n) { return prepare(n, skv_q8_few_##id); } \
    const skv_kernel skv_kernel_int8_few_##id = {                                                \
        .name = "qgemm_u8_few_bits_" #id,                                                        \
        .brief = text,                                                                           \
        .ops = ops,                                                                              \
        .isa = SKV_ISA_##level,                                                                  \
        .applicable = applicable,                                                                \
        .prepare = prepare_##id,                                                                 \
        .run = skv_q8_dense_run,                                                                 \
        .destroy = skv_q8_dense_destroy,                                                         \
    }
SKV_ON(AVX512_VNNI, RECORD(vnni, AVX512_VNNI, "integer convolution and product, weights of 4, 2 or 1 bits, vpdpbusd");)
SKV_ON(AVX512, RECORD(avx512, AVX512, "integer convolution and product, weights of 4, 2 or 1 bits, 512-bit registers");)
SKV_ON(AVX2, RECORD(avx2, AVX2, "integer convolution and product, weights of 4, 2 or 1 bits, 256-bit registers");)
RECORD(scalar, SCALAR, "integer convolution and product, weights of 4, 2 or 1 bits, in plain C");
