/* The shape of a ConvTranspose, expressed as the convolution of which it is the gradient by the input. */
#ifndef SKV_OPS_COMMON_CONV_TRANSPOSE_H
#define SKV_OPS_COMMON_CONV_TRANSPOSE_H

#include "ops/conv/common_conv.h"

/* x [n][c][in...] and w [c][m / groups][kernel...] give y [n][m][out...]. In *out the roles are those of the
 * convolution from y to x: out->c is m, out->m is c, g.in the size of y, g.out that of x. Output sizes and what follows
 * from them are -1 where unknown; pad_hi is at least 0, also if output_shape is larger than the windows reach.
 * ERR_SHAPE names the node. */
skive_status skv_conv_transpose_make(skive_context *ctx, const skive_node *node, int x_rank, const int64_t *x_dims,
                                     int w_rank, const int64_t *w_dims, skv_conv_shape *out);

#endif
