/* idx: any pair of IDX files, and a second pair for the test split where there is one. */
#include "data/data.h"

static skive_status open_idx(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                             skive_dataset *ds) {
    char *images = NULL, *labels = NULL;
    skive_status status = skv_pair_args(ctx, &skv_dataset_idx, args, test, &images, &labels, &ds->separate_test);
    if (status == SKIVE_OK) status = skv_idx_open(ctx, images, labels, options->classes, ds);
    skv_free(ctx, images);
    skv_free(ctx, labels);
    return status;
}

const skv_dataset_kind skv_dataset_idx = {
    .name = "idx",
    .syntax = "idx:IMAGES,LABELS[,TEST-IMAGES,TEST-LABELS]",
    .brief = "IDX files of bytes, plain or .gz",
    .needs_args = true,
    .open = open_idx,
};
