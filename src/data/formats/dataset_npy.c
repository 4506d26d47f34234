/* npy: samples and targets from NumPy files. Samples keep their element type, in memory or, where they are large, in
 * the file; whether the targets are classes or values to be fitted is decided by their type. */
#include "data/formats/disk.h"
#include "data/targets.h"

static const skv_option options[] = {SKV_DISK_OPTION};

static skive_status open_samples(skive_context *ctx, const char *path, skive_dataset *ds) {
    skv_npy_info info;
    skive_tensor t = {0};
    SKV_TRY(skv_npy_open(ctx, path, &info));
    const uint64_t row = info.rank > 0 && info.dims[0] > 0 ? info.bytes / (uint64_t)info.dims[0] : 0;
    if (row > 0 && skv_disk_wanted(ctx, path, skv_option_text(ds->values, "disk"), info.bytes, row))
        return skv_dataset_take_disk(ctx, ds, path, 0, &info);
    SKV_TRY(skive_tensor_load_npy(ctx, path, &t));
    const skive_status status = skv_npy_samples_check(ctx, path, &t);
    if (status == SKIVE_OK) skv_dataset_take_samples(ds, &t);
    skive_tensor_free(ctx, &t);
    return status;
}

/* `decider`: the file of the training targets, if it is another one. */
static skive_status open_pair(skive_context *ctx, const char *x_path, const char *y_path, const char *decider,
                              const skive_dataset_options *given, skive_dataset *ds) {
    skive_tensor y = {0}, training = {0};
    skive_status status;
    SKV_TRY(open_samples(ctx, x_path, ds));
    if (!y_path || given->targets == SKIVE_TARGETS_NONE) return SKIVE_OK;
    SKV_TRY(skive_tensor_load_npy(ctx, y_path, &y));
    if (decider) SKV_GO(status, done, skive_tensor_load_npy(ctx, decider, &training));
    status = skv_targets_take(ctx, y_path, x_path, &y, decider ? &training : NULL, given, ds);
done:
    skive_tensor_free(ctx, &y);
    skive_tensor_free(ctx, &training);
    return status;
}

static skive_status open_npy(skive_context *ctx, const char *args, bool test, const skive_dataset_options *given,
                             skive_dataset *ds) {
    char *names[4];
    int count;
    skive_status status = skv_split_args(ctx, &skv_dataset_npy, args, names, &count);
    if (status == SKIVE_OK) {
        ds->separate_test = count == 4;
        const int at = test && count == 4 ? 2 : 0;
        status = open_pair(ctx, names[at], names[at + 1], at ? names[1] : NULL, given, ds);
    }
    skv_free_args(ctx, names);
    return status;
}

static skive_status read_npy(skive_context *ctx, const skive_dataset *ds, size_t index, float *x) {
    (void)ctx;
    skv_to_f32(ds->x.dtype, ds->x.data, index * ds->size, ds->size, x);
    return SKIVE_OK;
}

const skv_dataset_kind skv_dataset_npy = {
    .name = "npy",
    .syntax = "npy:X[,Y[,TEST-X,TEST-Y]]",
    .brief = "NumPy files: samples, and integer labels or float targets (none for calibration)",
    SKV_OPTIONS(options),
    .needs_args = true,
    .open = open_npy,
    .read = read_npy,
};
