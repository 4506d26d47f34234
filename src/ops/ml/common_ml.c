/* Numbers of attributes that newer versions keep in tensors. */
#include "ops/ml/common_ml.h"

#include "tensor/storage.h"

skive_status skv_ml_attr_doubles(skive_context *ctx, const skive_node *n, const char *list, const char *tensor,
                                 skv_doubles *out) {
    const skv_attr *a = list ? skv_node_attr(n, list) : NULL;
    skive_tensor inflated = {0};
    *out = (skv_doubles){0};
    if (a && a->type == SKV_ATTR_FLOATS && a->n) {
        *out = (skv_doubles){.p = a->floats, .n = a->n};
        return SKIVE_OK;
    }
    a = tensor ? skv_node_attr(n, tensor) : NULL;
    if (!a || a->type != SKV_ATTR_TENSOR || !a->tensor) return SKIVE_OK;
    const skive_tensor *t = &a->tensor->tensor;
    if (skive_tensor_count(t) == 0) return SKIVE_OK;
    if (!t->data) {
        SKV_TRY(skv_storage_inflate(ctx, a->tensor, &inflated));
        t = &inflated;
    }
    /* Copied, also where it consists of doubles: the tensor may be one that was just inflated. */
    double *own = NULL;
    const int64_t count = skive_tensor_count(t);
    const skive_status status = skv_alloc_array(ctx, (size_t)count, sizeof *own, &own);
    for (int64_t i = 0; i < count && status == SKIVE_OK; i++) own[i] = skive_tensor_get(t, i);
    *out = (skv_doubles){.p = own, .own = own, .n = own ? (size_t)count : 0};
    skive_tensor_free(ctx, &inflated);
    return status;
}
