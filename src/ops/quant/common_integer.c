/* See common_integer.h. */
#include "ops/quant/common_integer.h"

#include <math.h>

#include "ops/common_shape.h"

skive_status skv_infer_want_8bit(skv_infer *c, size_t i) {
    const skive_type *t = skv_in_type(c, i);
    if (!t || t->dtype == SKIVE_DTYPE_NONE || t->dtype == SKIVE_U8 || t->dtype == SKIVE_I8) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': input %zu is %s, not uint8 or int8", c->node->name, i,
                          skive_dtype_name(t->dtype));
}

skive_status skv_infer_want_parameter(skv_infer *c, size_t i, int64_t length, const char *what) {
    const skive_type *t = skv_in_type(c, i);
    if (!t || t->rank < 1) return SKIVE_OK;
    const int64_t n = skv_type_is_static(t) ? skv_type_count(t) : -1;
    if (n < 0 || n == 1 || length < 0 || n == length) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld values are given as %s, expected 1 or %lld",
                          c->node->name, (long long)n, what, (long long)length);
}

/* Elements around an axis: x is [outer][length][inner]. */
static int64_t inner_of(const skive_tensor *x, int axis) {
    int64_t inner = 1;
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dims[d];
    return inner;
}

static skive_status check_count(const skv_eval *c, const skive_tensor *parameter, const skive_tensor *x, int axis) {
    const int64_t n = parameter ? skive_tensor_count(parameter) : 1;
    if (n == 1 || (axis >= 0 && axis < x->rank && n == x->dims[axis])) return SKIVE_OK;
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                       "node '%s': the number of zero points or scales, %lld, does not match", c->node->name,
                       (long long)n);
}

skive_status skv_centred(const skv_eval *c, const skive_tensor *x, const skive_tensor *zero_point, int axis,
                         double **out) {
    const int64_t n = skive_tensor_count(x);
    *out = NULL;
    SKV_TRY(check_count(c, zero_point, x, axis));
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)n + 1, sizeof **out, out));
    const bool many = zero_point && skive_tensor_count(zero_point) > 1;
    const int64_t inner = many ? inner_of(x, axis) : 1;
    for (int64_t i = 0; i < n; i++) {
        const size_t at = many ? (size_t)(i / inner % x->dims[axis]) : 0;
        const int64_t zero = zero_point ? skv_load_i64(zero_point->dtype, zero_point->data, at) : 0;
        (*out)[i] = (double)(skv_load_i64(x->dtype, x->data, (size_t)i) - zero);
    }
    return SKIVE_OK;
}

void skv_store_int32(const double *sum, const skive_tensor *y) {
    int32_t *to = y->data;
    for (int64_t i = 0; i < skive_tensor_count(y); i++) to[i] = (int32_t)(uint32_t)(int64_t)sum[i];
}

skive_status skv_requantize(const skv_eval *c, const double *sum, double sx, const skive_tensor *sw, int axis,
                            const skive_tensor *sy, const skive_tensor *y_zero, const skive_tensor *y) {
    const int64_t n = skive_tensor_count(y), zero = y_zero ? skv_load_i64(y_zero->dtype, y_zero->data, 0) : 0;
    SKV_TRY(check_count(c, sw, y, axis));
    const bool many = skive_tensor_count(sw) > 1;
    const int64_t inner = many ? inner_of(y, axis) : 1;
    const double step = skv_load_f64(sy->dtype, sy->data, 0);
    for (int64_t i = 0; i < n; i++) {
        const size_t at = many ? (size_t)(i / inner % y->dims[axis]) : 0;
        const float multiplier = (float)(sx * skv_load_f64(sw->dtype, sw->data, at) / step);
        const float scaled = (float)sum[i] * multiplier;
        skv_store_f64(y->dtype, y->data, (size_t)i, (double)nearbyintf(scaled) + (double)zero); /* saturates */
    }
    return SKIVE_OK;
}
