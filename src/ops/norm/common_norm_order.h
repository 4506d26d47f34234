/* Shared by the ops of p-norms. */
#ifndef SKV_OPS_COMMON_NORM_ORDER_H
#define SKV_OPS_COMMON_NORM_ORDER_H

#include "ops/common_nn.h"

/* Attribute p of opset 1, a real number, as the integer it is since opset 2. */
skive_status skv_import_norm_order(skive_node *n);
/* ERR_GRAPH unless the attribute p (2 when absent) is from 1 to `most`. */
skive_status skv_want_norm_order(skv_infer *c, int64_t most);

/* |x|^p, and the p-th root of a sum of such terms. */
static inline double skv_norm_term(double x, double p) {
    return p == 1.0 ? fabs(x) : p == 2.0 ? x * x : pow(fabs(x), p);
}
static inline double skv_norm_root(double sum, double p) {
    return p == 1.0 ? sum : p == 2.0 ? sqrt(sum) : pow(sum, 1.0 / p);
}

#endif
