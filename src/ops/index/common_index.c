/* See common_index.h. */
#include "ops/index/common_index.h"

#include <string.h>

skive_status skv_index_resolve(const skv_eval *c, int64_t index, int64_t size, int64_t *out) {
    *out = index < 0 && index >= -size ? index + size : index;
    if (*out >= 0 && *out < size) return SKIVE_OK;
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': index %lld is out of range for %lld entries",
                       c->node->name, (long long)index, (long long)size);
}

skive_status skv_infer_want_indices(skv_infer *c, size_t i) {
    const skive_dtype t = skv_infer_in(c, i)->dtype;
    if (t == SKIVE_DTYPE_NONE || t == SKIVE_I32 || t == SKIVE_I64) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': indices must be int32 or int64, not %s", c->node->name,
                          skive_dtype_name(t));
}

skv_reduction skv_reduction_of(const skive_node *n) {
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    const char *text = skv_attr_string(n, "reduction", "none");
    int i = 0;
    while (i < SKV_REDUCE_UNKNOWN && strcmp(text, names[i]) != 0) i++;
    return (skv_reduction)i;
}

void skv_reduce_element(skv_reduction how, skive_dtype dtype, void *data, size_t at, const void *values, size_t from) {
    if (how == SKV_REDUCE_NONE) {
        skv_copy_element(dtype, data, at, values, from);
    } else if (skv_dtype_is_float(dtype)) {
        const double a = skv_load_f64(dtype, data, at), b = skv_load_f64(dtype, values, from);
        const bool nan = isnan(a) || isnan(b);
        double v = how == SKV_REDUCE_ADD ? a + b : a * b;
        if (how == SKV_REDUCE_MAX) v = nan ? NAN : fmax(a, b);
        if (how == SKV_REDUCE_MIN) v = nan ? NAN : fmin(a, b);
        skv_store_f64(dtype, data, at, v);
    } else {
        const int64_t a = skv_load_bits(dtype, data, at), b = skv_load_bits(dtype, values, from);
        const bool less = dtype == SKIVE_U64 ? (uint64_t)a < (uint64_t)b : a < b;
        int64_t v = (int64_t)(how == SKV_REDUCE_ADD ? (uint64_t)a + (uint64_t)b : (uint64_t)a * (uint64_t)b);
        if (how == SKV_REDUCE_MAX) v = less ? b : a;
        if (how == SKV_REDUCE_MIN) v = less ? a : b;
        skv_store_wrap(dtype, data, at, v);
    }
}

skive_value *skv_g_zeros_like(skv_builder *b, skive_value *x) {
    return skv_g2(b, "Expand", skv_g_scalar(b, x, 0), skv_g1(b, "Shape", x));
}
