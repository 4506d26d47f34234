/* Shared by Softmax, LogSoftmax and their gradients. */
#ifndef SKV_OPS_COMMON_SOFTMAX_H
#define SKV_OPS_COMMON_SOFTMAX_H

#include "ops/common_nn.h"

/* Rows along one axis: element i of row (o, q) is at (o * length + i) * inner + q. */
typedef struct skv_rows {
    int64_t outer, length, inner;
} skv_rows;

skive_status skv_softmax_infer(skv_infer *c);      /* checks `axis` against input 0 */
skive_status skv_softmax_grad_infer(skv_infer *c); /* inputs dY and Y of equal type */
skive_status skv_softmax_rows(const skv_eval *c, const skive_tensor *x, skv_rows *out);
/* Runs `row` over every row of output 0, which starts as a copy of input 0; `other` is the same row of input 1 if
 * any. */
skive_status skv_softmax_run(const skv_eval *c, void (*row)(double *y, const double *other, int64_t n, int64_t step));
/* Before opset 13 the axes from `axis` (default 1) on were one row: equivalent if only one of them is not 1; otherwise
 * Flatten, the operator, and Reshape back. */
skive_status skv_softmax_import(skive_graph *g, skive_node *n, int from);
void skv_softmax_couple(skv_couple *c);

#endif
