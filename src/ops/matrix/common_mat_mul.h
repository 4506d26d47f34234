/* Shared by MatMul and its integer forms: matrices in the last two axes, the axes before them broadcast (NumPy's
 * matmul). */
#ifndef SKV_OPS_COMMON_MAT_MUL_H
#define SKV_OPS_COMMON_MAT_MUL_H

#include "ops/common_nn.h"

/* The shape of output 0 from inputs a and b; not its element type. */
skive_status skv_infer_mat_mul(skv_infer *c, size_t a, size_t b);
/* y += a b, of the shapes of two tensors; y may be NULL if it has no elements. */
skive_status skv_mat_mul_f64(const skv_eval *c, const skive_tensor *a_shape, const double *a,
                             const skive_tensor *b_shape, const double *b, double *y);

/* Coupling of the product of inputs `first` and `second`. */
void skv_couple_mat_mul(skv_couple *c, int first, int second);

#endif
