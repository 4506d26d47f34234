/* What Cast and CastLike share: from the element type of input 0 to that of output 0. Floats become integers by
 * truncation; of a number beyond the integer's range the lowest bits stay. Integers wrap, anything but zero is true. */
#ifndef SKV_OPS_COMMON_CAST_H
#define SKV_OPS_COMMON_CAST_H

#include "ops/common_elementwise.h"

skive_status skv_cast_run(const skv_eval *c);
skive_status skv_cast_grad(skv_grad *c); /* cast back; through integers it is zero */

#endif
