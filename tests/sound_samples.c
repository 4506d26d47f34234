/* Writes the samples of a data set as a .npy file, for tests/oracle/check_features.py.
 *
 *     sound_samples SPEC OUT.npy */
#include <stdio.h>
#include <stdlib.h>

#include <skive/data.h>
#include <skive/tensor.h>

static skive_status save(skive_context *ctx, const char *spec, const char *path) {
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset *set = NULL;
    skive_dataset_info info;
    skive_tensor t = {0};
    int64_t dims[SKIVE_MAX_RANK];
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    skive_status status = skive_dataset_open(ctx, spec, &o, &set);
    if (status != SKIVE_OK) return status;
    skive_dataset_get_info(set, &info);
    dims[0] = (int64_t)info.count;
    for (int d = 0; d < info.rank; d++) dims[d + 1] = info.dims[d];
    status = skive_tensor_create(ctx, SKIVE_F32, info.rank + 1, dims, &t);
    for (size_t i = 0; status == SKIVE_OK && i < info.count; i++)
        status = skive_dataset_read(ctx, set, i, (float *)t.data + i * info.sample_size, NULL);
    if (status == SKIVE_OK) status = skive_tensor_save_npy(ctx, path, &t);
    skive_tensor_free(ctx, &t);
    skive_dataset_free(set);
    return status;
}

int main(int argc, char **argv) {
    skive_context *ctx = NULL;
    if (argc != 3 || skive_context_create(NULL, &ctx) != SKIVE_OK) return EXIT_FAILURE;
    const skive_status status = save(ctx, argv[1], argv[2]);
    if (status != SKIVE_OK) fprintf(stderr, "%s\n", skive_context_message(ctx));
    skive_context_free(ctx);
    return status == SKIVE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
