/* Shared by the ops that read or write at computed positions. */
#ifndef SKV_OPS_COMMON_INDEX_H
#define SKV_OPS_COMMON_INDEX_H

#include "ops/common_elementwise.h"

/* An index into `size` entries, negative from the end. ERR_SHAPE naming the node if it is outside. */
skive_status skv_index_resolve(const skv_eval *c, int64_t index, int64_t size, int64_t *out);
skive_status skv_infer_want_indices(skv_infer *c, size_t i); /* int32 or int64 */

typedef enum skv_reduction {
    SKV_REDUCE_NONE,
    SKV_REDUCE_ADD,
    SKV_REDUCE_MUL,
    SKV_REDUCE_MAX,
    SKV_REDUCE_MIN,
    SKV_REDUCE_UNKNOWN
} skv_reduction;
skv_reduction skv_reduction_of(const skive_node *n); /* attribute "reduction" */
/* data[at] becomes data[at] reduced with value[from]. */
void skv_reduce_element(skv_reduction how, skive_dtype dtype, void *data, size_t at, const void *values, size_t from);

/* Zeros in the shape and type of x, as a node. */
skive_value *skv_g_zeros_like(skv_builder *b, skive_value *x);

#endif
