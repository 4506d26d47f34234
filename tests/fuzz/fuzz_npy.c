/* NumPy files. */
#include <skive/tensor.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    skive_context *ctx = fuzz_context((size_t)64 << 20);
    skive_tensor tensor = {0};
    const skive_status status = skive_tensor_load_npy(ctx, fuzz_file(0, data, size), &tensor);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK && skive_tensor_count(&tensor) > 0)
        (void)skive_tensor_get(&tensor, skive_tensor_count(&tensor) - 1);
    skive_tensor_free(ctx, &tensor);
    fuzz_context_end(ctx);
    return 0;
}
