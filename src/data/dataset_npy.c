/* npy: samples and targets from NumPy files. Samples keep their element type in memory; whether the targets are classes
 * or numbers to be fitted is decided by their type. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "data/data.h"
#include "tensor/tensor.h"

/* A NaN would spoil a training run hours later without a trace of where it came from. */
static skive_status check_finite(skive_context *ctx, const char *path, const skive_tensor *t, size_t per_sample) {
    if (!skv_dtype_is_float(t->dtype)) return SKIVE_OK;
    float part[1024];
    size_t count = (size_t)skive_tensor_count(t);
    for (size_t at = 0; at < count; at += 1024) {
        size_t n = count - at < 1024 ? count - at : 1024;
        skv_to_f32(t->dtype, t->data, at, n, part);
        for (size_t i = 0; i < n; i++) {
            if (isfinite(part[i])) continue;
            return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: sample %zu holds NaN or infinity", path,
                               (at + i) / per_sample);
        }
    }
    return SKIVE_OK;
}

static skive_status check_samples(skive_context *ctx, const char *path, skive_dataset *ds) {
    const skive_tensor *x = &ds->x;
    char text[SKV_DIMS_TEXT + 16];
    if (x->rank < 1 || skive_tensor_count(x) <= 0) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: is %s; samples are counted by the first axis, and there must be some", path,
                           skv_tensor_text(x, text, sizeof text));
    }
    ds->total = (size_t)x->dims[0];
    ds->size = (size_t)skive_tensor_count(x) / ds->total;
    ds->rank = x->rank > 1 ? x->rank - 1 : 1;
    ds->dims[0] = 1;
    for (int d = 1; d < x->rank; d++) ds->dims[d - 1] = x->dims[d];
    ds->channel_axis = -1; /* channels first or last: the file does not say */
    if (x->dtype == SKIVE_U8) ds->u8 = x->data;
    return check_finite(ctx, path, x, ds->size);
}

static skive_status take_labels(skive_context *ctx, const char *path, const skive_tensor *y, int64_t known,
                                skive_dataset *ds) {
    SKV_TRY(skv_alloc_array(ctx, ds->total, sizeof *ds->labels, &ds->labels));
    for (size_t i = 0; i < ds->total; i++) {
        int64_t label = skv_load_i64(y->dtype, y->data, i);
        if (label < 0 || label >= SKV_MAX_CLASSES) {
            return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                               "%s: label %" PRId64 " of sample %zu is out of range; labels are 0 to classes-1", path,
                               label, i);
        }
        ds->labels[i] = (int32_t)label;
    }
    return skv_labels_check(ctx, path, known, ds);
}

static skive_status take_targets(skive_context *ctx, const char *path, const skive_tensor *y, skive_dataset *ds) {
    size_t count = (size_t)skive_tensor_count(y);
    ds->target_rank = y->rank - 1;
    for (int i = 1; i < y->rank; i++) ds->target_dims[i - 1] = y->dims[i];
    ds->target_size = count / ds->total;
    SKV_TRY(check_finite(ctx, path, y, ds->target_size));
    SKV_TRY(skv_alloc_array(ctx, count, sizeof *ds->targets, &ds->targets));
    skv_to_f32(y->dtype, y->data, 0, count, ds->targets);
    /* Pictures as targets are on the same scale as pictures as samples. */
    if (y->dtype == SKIVE_U8 && y->rank > 2) {
        for (size_t i = 0; i < count; i++) ds->targets[i] /= 255.0f;
        skv_note(ctx, "%s: targets of bytes are given as value / 255, as samples of bytes are", path);
    }
    return SKIVE_OK;
}

static skive_status open_pair(skive_context *ctx, const char *x_path, const char *y_path,
                              const skive_dataset_options *options, skive_dataset *ds) {
    SKV_TRY(skive_tensor_load_npy(ctx, x_path, &ds->x));
    SKV_TRY(check_samples(ctx, x_path, ds));
    skive_tensor y = {0};
    skive_status status;
    SKV_TRY(skive_tensor_load_npy(ctx, y_path, &y));
    if (y.rank < 1 || y.dims[0] != (int64_t)ds->total || skive_tensor_count(&y) <= 0) {
        char text[SKV_DIMS_TEXT + 16];
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, y_path, "%s: is %s, but %s has %zu samples", y_path,
                             skv_tensor_text(&y, text, sizeof text), x_path, ds->total);
    } else if (skv_dtype_is_float(y.dtype) || skive_tensor_count(&y) > (int64_t)ds->total) {
        status = take_targets(ctx, y_path, &y, ds);
    } else {
        status = take_labels(ctx, y_path, &y, options->classes, ds);
    }
    skive_tensor_free(ctx, &y);
    return status;
}

static skive_status open_npy(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                             skive_dataset *ds) {
    char *x_path = NULL, *y_path = NULL;
    if (!strchr(args, ',')) { /* samples alone */
        SKV_TRY(skive_tensor_load_npy(ctx, args, &ds->x));
        return check_samples(ctx, args, ds);
    }
    skive_status status = skv_pair_args(ctx, &skv_dataset_npy, args, test, &x_path, &y_path, &ds->separate_test);
    if (status == SKIVE_OK) status = open_pair(ctx, x_path, y_path, options, ds);
    skv_free(ctx, x_path);
    skv_free(ctx, y_path);
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
    .needs_args = true,
    .open = open_npy,
    .read = read_npy,
};
