/* What the integer products share (ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul): 8-bit operands minus their
 * zero points, as doubles, whose sums of products are exact (below 2^53), and requantization to 8 bits:
 *
 *     multiplier = (float)((double)sx * (double)sw / (double)sy)
 *     y = saturate(nearest_even((float)sum * multiplier) + zero_point)
 *
 * as in QConv, so that both give the same bits. */
#ifndef SKV_OPS_COMMON_INTEGER_H
#define SKV_OPS_COMMON_INTEGER_H

#include "ops/common_nn.h"

skive_status skv_infer_want_8bit(skv_infer *c, size_t i);
/* A zero point or scale: a scalar, or one of `length` along an axis (-1: any length). */
skive_status skv_infer_want_parameter(skv_infer *c, size_t i, int64_t length, const char *what);
/* The elements of x minus the zero point (NULL: 0). One zero point, or one for each index of `axis`. Freed by
 * skv_free. */
skive_status skv_centred(const skv_eval *c, const skive_tensor *x, const skive_tensor *zero_point, int axis,
                         double **out);
/* Sums modulo 2^32, as defined for the int32 results of ONNX. */
void skv_store_int32(const double *sum, const skive_tensor *y);
/* Requantization. `sw` has one scale, or one for each index of `axis` of y. */
skive_status skv_requantize(const skv_eval *c, const double *sum, double sx, const skive_tensor *sw, int axis,
                            const skive_tensor *sy, const skive_tensor *y_zero, const skive_tensor *y);

#endif
