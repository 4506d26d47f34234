/* Images of any format: what their header says, and decoding with the turn that EXIF notes. The first byte says how
 * many channels are wanted. */
#include <stdlib.h>

#include "data/data.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int channels[] = {0, 1, 3};
    skive_context *ctx = fuzz_context((size_t)64 << 20);
    const size_t skip = size ? 1 : 0;
    skv_image image = {0};
    skv_image_head head = {0};
    const skive_status told = skv_image_head_of(ctx, data + skip, size - skip, "fuzz", &head);
    fuzz_check_message(ctx, told);
    const skive_status status =
        skv_image_decode(ctx, data + skip, size - skip, "fuzz", channels[size ? data[0] % 3 : 0], &image);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) {
        /* What the header says is what comes out. */
        if (told == SKIVE_OK && (head.width != (uint64_t)image.width || head.height != (uint64_t)image.height)) abort();
        skv_free(ctx, image.pixels);
    }
    fuzz_context_end(ctx);
    return 0;
}
