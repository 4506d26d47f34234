/* The records of QConv, QConvAdd and QGemm by dense tiles, one an instruction set. Input and output of a convolution
 * stand as [n][spatial...][c]. */
#include "kernels/int8/dense.h"
#include "kernels/int8/tiles.h"

bool skv_q8_dense_applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    if (skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "the output is empty");
    if (!skv_node_is(n->node, SKV_OP_Q_GEMM) && (x->rank < 3 || x->rank > 5))
        return skv_decline(why, "rank %d", x->rank);
    return skv_q8_bytes(n, why) && skv_q8_weights_constant(n, why);
}

skive_status skv_q8_dense_geometry(const skv_kernel_node *n, skv_conv_shape *s) {
    if (!skv_node_is(n->node, SKV_OP_Q_GEMM)) return skv_q8_conv_shape(n, s);
    *s = skv_q8_product_shape(n->in[0].type.dims[0].size, n->in[0].type.dims[1].size, n->in[1].type.dims[0].size);
    return SKIVE_OK;
}

skive_status skv_q8_dense_shape(skv_kernel_node *n, skv_conv_shape *s) {
    SKV_TRY(skv_q8_dense_geometry(n, s));
    if (skv_node_is(n->node, SKV_OP_Q_GEMM)) return SKIVE_OK;
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    if (n->n_in > SKV_Q8_OTHER) {
        n->in[SKV_Q8_OTHER].layout = SKV_NHWC;
        n->in_place = 1u << SKV_Q8_OTHER; /* an element is read before it is written, by the same thread */
    }
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n, const skv_q8_gemm *gemm) {
    skv_conv_shape s;
    SKV_TRY(skv_q8_dense_shape(n, &s));
    return skv_q8_dense_prepare(n, gemm, &s);
}

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_Q_CONV_ADD, SKV_OP_Q_GEMM, SKV_OP_NONE};

#define RECORD_IF(id, level, text, applies)                                                         \
    static skive_status prepare_##id(skv_kernel_node *n) { return prepare(n, skv_q8_gemm_##id()); } \
    const skv_kernel skv_kernel_int8_gemm_##id = {                                                  \
        .name = "qgemm_u8s8_" #id,                                                                  \
        .brief = text,                                                                              \
        .ops = ops,                                                                                 \
        .isa = SKV_ISA_##level,                                                                     \
        .applicable = (applies),                                                                    \
        .prepare = prepare_##id,                                                                    \
        .run = skv_q8_dense_run,                                                                    \
        .destroy = skv_q8_dense_destroy,                                                            \
    }
#define RECORD(id, level, text) RECORD_IF(id, level, text, skv_q8_dense_applicable)
SKV_ON(AMX,
       RECORD_IF(amx, AMX, "integer convolution and product, tiles of 32 x 32 with tdpbusd", skv_q8_tiles_applicable);)
SKV_ON(AVX512_VNNI, RECORD(vnni, AVX512_VNNI, "integer convolution and product, tiles of 14 x 32 with vpdpbusd");)
SKV_ON(AVX512, RECORD(avx512, AVX512, "integer convolution and product, tiles of 12 x 32 in 16 bits");)
SKV_ON(AVX2, RECORD(avx2, AVX2, "integer convolution and product, tiles of 6 x 16 in 16 bits");)
SKV_ON(I8MM, RECORD(i8mm, I8MM, "integer convolution and product, tiles of 8 x 8 with USMMLA");)
SKV_ON(DOTPROD, RECORD(dotprod, DOTPROD, "integer convolution and product, tiles of 8 x 8 with SDOT");)
SKV_ON(NEON, RECORD(neon, NEON, "integer convolution and product, tiles of 8 x 8 in 16 bits");)
RECORD(scalar, SCALAR, "integer convolution and product in plain C");
