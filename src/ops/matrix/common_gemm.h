/* Shared by Gemm and FusedGemm: sizes and the product in double. */
#ifndef SKV_OPS_COMMON_GEMM_H
#define SKV_OPS_COMMON_GEMM_H

#include "ops/common_nn.h"

/* Shape and type of output 0 from inputs A [m][k], B [k][n] and C (broadcast to [m][n]). A of FusedGemm may have more
 * axes of rows: [..][m][k] gives [..][m][n], with C broadcast to [1][n]. */
skive_status skv_infer_gemm(skv_infer *c);
/* Input 2 against a product of m rows and n columns (below 0: not known), to which it is broadcast. */
skive_status skv_infer_gemm_bias(skv_infer *c, int64_t m, int64_t n);
/* y = alpha a' b' + beta c, from inputs 0 to 2 of the run. */
skive_status skv_gemm_run(const skv_eval *c, skv_result *y);
void skv_gemm_cost(const skive_node *n, skive_cost *cost);

#endif
