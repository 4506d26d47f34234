/* IDX data sets, plain or gzip: the first byte splits the input into the file of labels and the file of images. */
#include <stdio.h>
#include <stdlib.h>

#include <skive/data.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    skive_context *ctx = fuzz_context((size_t)64 << 20);
    const size_t rest = size ? size - 1 : 0;
    size_t first = size ? (size_t)data[0] * 4 : 0;
    if (first > rest) first = rest;
    const uint8_t *start = size ? data + 1 : data;
    const char *labels = fuzz_file(1, start, first);
    const char *images = fuzz_file(0, start ? start + first : NULL, rest - first);
    char spec[128];
    skive_dataset *dataset = NULL;
    skive_dataset_info info;
    snprintf(spec, sizeof spec, "idx:%s,%s", images, labels);
    const skive_status status = skive_dataset_open(ctx, spec, NULL, &dataset);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) {
        skive_dataset_get_info(dataset, &info);
        float *x = malloc(info.sample_size * sizeof(float) + 1);
        int64_t label;
        if (x && info.count) fuzz_check_message(ctx, skive_dataset_read(ctx, dataset, info.count - 1, x, &label));
        free(x);
    }
    skive_dataset_free(dataset);
    fuzz_context_end(ctx);
    return 0;
}
