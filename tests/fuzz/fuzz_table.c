/* Tables and texts in CSV files: the first byte chooses the kind and its options, the rest is the file. */
#include <stdio.h>

#include <skive/data.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const forms[] = {"csv:%s",
                                        "csv:%s,label=y,gaps=mean",
                                        "csv:%s,label=y,gaps=drop,encode=integer,memory=0",
                                        "tsv:%s,label=y,categorical=*",
                                        "csv:%s,split=p,label=y",
                                        "text:%s,column=t,label=y",
                                        "text:%s,column=t,tokens=bpe:size=270,memory=0",
                                        "text:%s,column=t,tokens=character,mask=m"};
    if (size == 0) return 0;
    skive_context *ctx = fuzz_context((size_t)64 << 20);
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset_info info;
    skive_dataset *set = NULL;
    static float x[1 << 16];
    char spec[4096];
    (void)snprintf(spec, sizeof spec, forms[data[0] % 8], fuzz_file(0, data + 1, size - 1));
    o.split = data[0] & 8 ? SKIVE_SPLIT_TRAIN_FULL : data[0] & 16 ? SKIVE_SPLIT_TEST : SKIVE_SPLIT_TRAIN;
    const skive_status status = skive_dataset_open(ctx, spec, &o, &set);
    fuzz_check_message(ctx, status);
    skive_dataset_get_info(set, &info);
    for (size_t i = 0; i < info.count && i < 50 && info.sample_size <= sizeof x / sizeof *x; i++) {
        int64_t label;
        fuzz_check_message(ctx, skive_dataset_read(ctx, set, i, x, &label));
    }
    skive_dataset_free(set);
    fuzz_context_end(ctx);
    return 0;
}
