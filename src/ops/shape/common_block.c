/* See common_block.h. */
#include "ops/shape/common_block.h"

#include "ops/common_nn.h"

void skv_block_permute(skive_dtype dtype, const int64_t dims[6], const int order[6], const void *x, void *y) {
    int64_t strides[6], from[6], to_dims[6], to[6];
    skv_dims_strides(6, dims, strides);
    for (int d = 0; d < 6; d++) {
        from[d] = strides[order[d]];
        to_dims[d] = dims[order[d]];
    }
    skv_dims_strides(6, to_dims, to);
    skv_copy_strided(dtype, 6, to_dims, y, 0, to, x, 0, from);
}

skive_value *skv_block_emit(skv_builder *b, skive_value *x, const int64_t dims[6], const int64_t order[6],
                            const int64_t to[4]) {
    skive_value *six = skv_emit(b, "Reshape", SKV_IN(x, skv_emit_ints(b, dims, 6)), SKV_NONE);
    skive_value *turned = skv_emit(b, "Transpose", SKV_IN(six), SKV_ATTRS(SKV_INTS("perm", order, 6)));
    return skv_emit(b, "Reshape", SKV_IN(turned, skv_emit_ints(b, to, 4)), SKV_NONE);
}

skive_status skv_block_size(skv_infer *c, int64_t *out) {
    SKV_TRY(skv_want_rank(c, 0, 4, 4));
    *out = skv_attr_int(c->node, "blocksize", 0);
    if (*out < 1 || *out > INT32_MAX)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the block size %lld is not valid", c->node->name,
                              (long long)*out);
    return SKIVE_OK;
}
