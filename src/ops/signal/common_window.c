/* See common_window.h. */
#include "ops/signal/common_window.h"

#include <math.h>

const skv_attr_spec skv_window_attrs[2] = {{"output_datatype", SKV_ATTR_INT, SKV_OPTIONAL},
                                           {"periodic", SKV_ATTR_INT, SKV_OPTIONAL}};

skive_status skv_window_infer(skv_infer *c) {
    const int64_t dtype = skv_attr_int(c->node, "output_datatype", SKIVE_F32);
    int64_t size = -1;
    int n;
    if (dtype < 1 || dtype > INT32_MAX || !skv_dtype_valid((skive_dtype)dtype) ||
        skive_dtype_bits((skive_dtype)dtype) < 8)
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "node '%s': unknown element type %lld", c->node->name,
                              (long long)dtype);
    SKV_TRY(skv_infer_ints(c, 0, "the size", &size, 1, &n));
    if (n == 0 || (n == 1 && size < 0))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the size is negative or missing", c->node->name);
    c->out[0] = (skive_type){.dtype = (skive_dtype)dtype, .rank = 1, .dims = {skv_dim(n == 1 ? size : -1)}};
    return skv_infer_limit(c, &c->out[0]);
}

skive_status skv_window_run(const skv_eval *c, const double abc[3]) {
    const skive_tensor *y = c->out[0];
    const double n = (double)(skv_attr_int(c->node, "periodic", 1) ? y->dims[0] : y->dims[0] - 1);
    for (int64_t i = 0; i < y->dims[0]; i++) {
        const double at = n > 0 ? 2 * M_PI * (double)i / n : 0;
        skv_store_f64(y->dtype, y->data, (size_t)i, abc[0] - abc[1] * cos(at) + abc[2] * cos(2 * at));
    }
    return SKIVE_OK;
}
