/* See common_cumulative.h. */
#include "ops/reduce/common_cumulative.h"

const skv_attr_spec skv_cumulative_attrs[SKV_CUMULATIVE_ATTRS] = {{"exclusive", SKV_ATTR_INT, SKV_OPTIONAL},
                                                                  {"reverse", SKV_ATTR_INT, SKV_OPTIONAL}};

skive_status skv_cumulative_infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int64_t axis;
    int n, at;
    SKV_TRY(skv_infer_want_numeric(c, 0));
    SKV_TRY(skv_infer_ints(c, 1, "the axis", &axis, 1, &n));
    if (n == 0) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the axis is empty", c->node->name);
    if (n == 1 && x->rank >= 0) SKV_TRY(skv_infer_axis(c, "axis", axis, x->rank, &at));
    return skv_infer_same(c);
}

skive_status skv_cumulative_run(const skv_eval *c, bool product) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const bool exclusive = skv_attr_int(c->node, "exclusive", 0) != 0,
               reverse = skv_attr_int(c->node, "reverse", 0) != 0;
    const bool real = skv_dtype_is_float(x->dtype);
    int64_t axis = 0, outer = 1, inner = 1;
    int n;
    SKV_TRY(skv_eval_ints(c, 1, "the axis", &axis, 1, &n));
    if (n != 1 || (axis = skv_axis(axis, x->rank)) < 0)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': there is no such axis in rank %d",
                           c->node->name, x->rank);
    for (int d = 0; d < axis; d++) outer *= x->dims[d];
    for (int d = (int)axis + 1; d < x->rank; d++) inner *= x->dims[d];
    const int64_t length = x->dims[axis];
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            double sum = product;
            uint64_t whole = product;
            for (int64_t k = 0; k < length; k++) {
                const size_t at = (size_t)((o * length + (reverse ? length - 1 - k : k)) * inner + i);
                const double before = sum;
                const uint64_t whole_before = whole;
                if (real) {
                    const double v = skv_load_f64(x->dtype, x->data, at);
                    sum = product ? sum * v : sum + v;
                    skv_store_f64(y->dtype, y->data, at, exclusive ? before : sum);
                } else {
                    const uint64_t v = (uint64_t)skv_load_bits(x->dtype, x->data, at);
                    whole = product ? whole * v : whole + v;
                    skv_store_wrap(y->dtype, y->data, at, (int64_t)(exclusive ? whole_before : whole));
                }
            }
        }
    }
    return SKIVE_OK;
}
