/* JPEG images; the first byte says whether grey is wanted. */
#include "data/data.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    skive_context *ctx = fuzz_context((size_t)64 << 20);
    const size_t skip = size ? 1 : 0;
    skv_image image = {0};
    const skive_status status =
        skv_jpeg_decode(ctx, data + skip, size - skip, "fuzz.jpg", size && (data[0] & 1), &image);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) skv_free(ctx, image.pixels);
    fuzz_context_end(ctx);
    return 0;
}
