/* BMP images. */
#include "data/data.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    skive_context *ctx = fuzz_context((size_t)64 << 20);
    skv_image image = {0};
    const skive_status status = skv_bmp_decode(ctx, data, size, "fuzz.bmp", &image);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) skv_free(ctx, image.pixels);
    fuzz_context_end(ctx);
    return 0;
}
