/* Shared by Cast and CastLike: from the element type of input 0 to that of output 0. Floats are truncated to integers;
 * of a number beyond the integer's range the lowest bits are kept. Integers wrap, any nonzero value is true. */
#ifndef SKV_OPS_COMMON_CAST_H
#define SKV_OPS_COMMON_CAST_H

#include "ops/common_elementwise.h"

/* The attribute round_mode, for float8e8m0: ERR_GRAPH if it is unknown. */
skive_status skv_cast_check(skv_infer *c);
/* Numbers to text: integers in decimal, floats as the shortest text that reads back as the same number, NaN, INF and
 * -INF, true as 1; and back, where text that is no number is refused. */
skive_status skv_cast_run(const skv_eval *c);
skive_status skv_cast_grad(skv_grad *c);
skv_range skv_cast_range(const skive_node *n, const skv_range *in); /* cast back; through integers it is zero */

#endif
