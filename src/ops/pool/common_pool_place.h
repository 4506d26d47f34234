/* MaxPool that stores the positions of its maxima, and the gradient that needs only these. Windows neither overlap nor
 * meet padding: `pool_shape`, height and width. */
#ifndef SKV_OPS_COMMON_POOL_PLACE_H
#define SKV_OPS_COMMON_POOL_PLACE_H

#include "ops/conv/common_conv.h"

enum { SKV_PLACE_NONE = 255 }; /* a window with only NaN */

/* Two sizes whose product is below SKV_PLACE_NONE. */
static inline bool skv_pool_shape(const skive_node *n, int64_t shape[2]) {
    size_t count;
    const int64_t *given = skv_attr_ints(n, "pool_shape", &count);
    for (int a = 0; a < 2; a++) shape[a] = given && count == 2 ? given[a] : 0;
    return shape[0] > 0 && shape[1] > 0 && shape[1] < SKV_PLACE_NONE && shape[0] < SKV_PLACE_NONE &&
           shape[0] * shape[1] < SKV_PLACE_NONE;
}

#endif
