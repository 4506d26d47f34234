/* Shared by CumSum and CumProd: sums or products along an axis up to each element, from either end, with or without the
 * element itself. */
#ifndef SKV_OPS_COMMON_CUMULATIVE_H
#define SKV_OPS_COMMON_CUMULATIVE_H

#include "ops/common_elementwise.h"

enum { SKV_CUMULATIVE_ATTRS = 2 };
extern const skv_attr_spec skv_cumulative_attrs[SKV_CUMULATIVE_ATTRS];

skive_status skv_cumulative_infer(skv_infer *c);
/* Floating types in double, rounded once; integers wrap round. */
skive_status skv_cumulative_run(const skv_eval *c, bool product);

#endif
