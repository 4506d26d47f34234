/* The choice between the tile registers of AMX and what else a level has. */
#ifndef SKV_INT8_TILES_H
#define SKV_INT8_TILES_H

#include "kernels/int8/int8.h"

/* A product as a convolution of one position a row. */
skv_conv_shape skv_q8_product_shape(int64_t rows, int64_t k, int64_t columns);

bool skv_q8_tiles_pay(const skv_conv_shape *s, skv_why *why);
bool skv_q8_tiles_applicable(const skv_kernel_node *n, skv_why *why); /* of QConv, QConvAdd and QGemm */
/* The best of the level for this shape. */
const skv_q8_gemm *skv_q8_gemm_for(skv_isa isa, const skv_conv_shape *s);

#endif
