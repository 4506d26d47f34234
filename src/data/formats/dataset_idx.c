/* idx: any pair of IDX files, and a second pair for the test split where there is one. */
#include "data/data.h"

static skive_status open_idx(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                             skive_dataset *ds) {
    char *names[4];
    int count;
    skive_status status = skv_split_args(ctx, &skv_dataset_idx, args, names, &count);
    if (status == SKIVE_OK && count == 1)
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "data", "data set 'idx:%s': expected %s", args,
                             skv_dataset_idx.syntax);
    if (status == SKIVE_OK) {
        ds->separate_test = count == 4;
        const int at = test && count == 4 ? 2 : 0;
        status = skv_idx_open(ctx, names[at], names[at + 1], options->classes, ds);
    }
    skv_free_args(ctx, names);
    return status;
}

const skv_dataset_kind skv_dataset_idx = {
    .name = "idx",
    .syntax = "idx:IMAGES,LABELS[,TEST-IMAGES,TEST-LABELS]",
    .brief = "IDX files of bytes, plain or .gz",
    .needs_args = true,
    .open = open_idx,
};
