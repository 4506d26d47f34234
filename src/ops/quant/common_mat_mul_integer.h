/* MatMulInteger and its form with float32 output. */
#ifndef SKV_OPS_COMMON_MAT_MUL_INTEGER_H
#define SKV_OPS_COMMON_MAT_MUL_INTEGER_H

#include "ops/quant/common_integer.h"
#include "ops/matrix/common_mat_mul.h"

/* Inputs; the last only of MatMulIntegerToFloat. */
enum { SKV_MMI_A, SKV_MMI_B, SKV_MMI_A_ZERO, SKV_MMI_B_ZERO, SKV_MMI_SCALE };

skive_status skv_infer_mat_mul_integer(skv_infer *c); /* output 0 except its element type */
/* The exact sums, as many as output 0 has elements. Freed by skv_free. */
skive_status skv_mat_mul_integer(const skv_eval *c, double **sums);
void skv_mat_mul_integer_cost(const skive_node *n, skive_cost *cost);

#endif
