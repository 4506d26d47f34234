/* The dense form: elements of the parameter's own type, row-major. */
#include "tensor/storage.h"

static skive_status inflate(skive_context *ctx, const skv_storage *storage, skive_tensor *out) {
    return skive_tensor_copy(ctx, &storage->tensor, out);
}

const skv_form skv_form_dense = {
    .name = "dense",
    .brief = "every element in its own type",
    .inflate = inflate,
};
