/* npy: samples and targets from NumPy files. Samples keep their element type in memory; whether the targets are classes
 * or values to be fitted is decided by their type. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "data/data.h"
#include "tensor/tensor.h"

/* A NaN would spoil a training run hours later without any sign of its origin. */
static skive_status check_finite(skive_context *ctx, const char *path, const skive_tensor *t, size_t per_sample) {
    if (!skv_dtype_is_float(t->dtype)) return SKIVE_OK;
    float part[1024];
    size_t count = (size_t)skive_tensor_count(t);
    for (size_t at = 0; at < count; at += 1024) {
        size_t n = count - at < 1024 ? count - at : 1024;
        skv_to_f32(t->dtype, t->data, at, n, part);
        for (size_t i = 0; i < n; i++) {
            if (isfinite(part[i])) continue;
            return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: sample %zu contains NaN or infinity", path,
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
                           "%s: has shape %s; the first axis counts the samples and must not be 0", path,
                           skv_tensor_text(x, text, sizeof text));
    }
    ds->total = (size_t)x->dims[0];
    ds->size = (size_t)skive_tensor_count(x) / ds->total;
    ds->rank = x->rank > 1 ? x->rank - 1 : 1;
    ds->dims[0] = 1;
    for (int d = 1; d < x->rank; d++) ds->dims[d - 1] = x->dims[d];
    ds->channel_axis = -1; /* channels first or last: unknown from the file */
    if (x->dtype == SKIVE_U8) ds->u8 = x->data;
    return check_finite(ctx, path, x, ds->size);
}

static skive_status take_labels(skive_context *ctx, const char *path, const skive_tensor *y, int64_t known,
                                skive_dataset *ds) {
    const bool floats = skv_dtype_is_float(y->dtype);
    SKV_TRY(skv_alloc_array(ctx, ds->total, sizeof *ds->labels, &ds->labels));
    for (size_t i = 0; i < ds->total; i++) {
        const double value = floats ? skv_load_f64(y->dtype, y->data, i) : (double)skv_load_i64(y->dtype, y->data, i);
        if (!(value >= 0 && value < SKV_MAX_CLASSES) || value != floor(value)) {
            return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                               "%s: label %.9g of sample %zu is out of range; labels are integers from 0 to classes-1 "
                               "(use --targets float to fit them as values)",
                               path, value, i);
        }
        ds->labels[i] = (int32_t)value;
    }
    return skv_labels_check(ctx, path, known, ds);
}

/* Are these whole numbers that could be labels? */
static bool are_whole(const skive_tensor *y, size_t n, double *smallest, double *largest) {
    *smallest = INFINITY;
    *largest = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double v = skv_load_f64(y->dtype, y->data, i);
        if (v != floor(v)) return false;
        if (v < *smallest) *smallest = v;
        if (v > *largest) *largest = v;
    }
    return *smallest >= 0 && *largest < SKV_MAX_CLASSES;
}

/* Does every number between the smallest, 0 or 1, and the largest occur? */
static skive_status count_without_gap(skive_context *ctx, const skive_tensor *y, size_t n, double smallest,
                                      double largest, bool *out) {
    uint8_t *seen = NULL;
    size_t distinct = 0;
    *out = false;
    if (smallest > 1 || largest < 1 || (size_t)largest > n) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)largest + 1, 1, &seen));
    for (size_t i = 0; i < n; i++) {
        uint8_t *at = &seen[(size_t)skv_load_f64(y->dtype, y->data, i)];
        distinct += !*at;
        *at = 1;
    }
    skv_free(ctx, seen);
    *out = distinct > 1 && distinct == (size_t)(largest - smallest) + 1;
    return SKIVE_OK;
}

/* Floats, one per sample: classes or values? The training samples decide for both parts. */
static skive_status floats_are_classes(skive_context *ctx, const char *path, const skive_tensor *y, int64_t scores,
                                       bool *out) {
    const size_t n = (size_t)skive_tensor_count(y);
    double smallest, largest;
    *out = false;
    if (scores == 1 || !are_whole(y, n, &smallest, &largest)) return SKIVE_OK;
    if (scores > 1)
        *out = largest < (double)scores; /* one number per sample cannot be fitted by several outputs */
    else
        SKV_TRY(count_without_gap(ctx, y, n, smallest, largest, out));
    if (*out)
        skv_note(ctx,
                 "%s: the floats are integers from %g to %g, one per sample: they are used as class labels; use "
                 "--targets float to fit them as values",
                 path, smallest, largest);
    else
        skv_note(ctx,
                 "%s: the floats are integers, but not from 0 to classes-1: they are fitted as values (regression); "
                 "use --targets class to use them as class labels",
                 path);
    return SKIVE_OK;
}

static skive_status take_targets(skive_context *ctx, const char *path, const skive_tensor *y, skive_dataset *ds) {
    size_t count = (size_t)skive_tensor_count(y);
    ds->target_rank = y->rank - 1;
    for (int i = 1; i < y->rank; i++) ds->target_dims[i - 1] = y->dims[i];
    ds->target_size = count / ds->total;
    SKV_TRY(skv_alloc_array(ctx, count, sizeof *ds->targets, &ds->targets));
    skv_to_f32(y->dtype, y->data, 0, count, ds->targets);
    /* Images as targets have the same scale as images as samples. */
    if (y->dtype == SKIVE_U8 && y->rank > 2) {
        for (size_t i = 0; i < count; i++) ds->targets[i] /= 255.0f;
        skv_note(ctx, "%s: 8-bit targets are divided by 255, as 8-bit samples are", path);
    }
    return SKIVE_OK;
}

/* `decider`: the file of the training targets, if it is another one. */
static skive_status are_classes(skive_context *ctx, const char *path, const skive_tensor *y, const char *decider,
                                const skive_dataset_options *o, bool *out) {
    skive_tensor training = {0};
    const int64_t scores = o->model ? skv_model_scores(ctx, o->model) : -1;
    if (o->targets != SKIVE_TARGETS_AUTO || !skv_dtype_is_float(y->dtype)) {
        *out = o->targets != SKIVE_TARGETS_VALUES;
        return SKIVE_OK;
    }
    if (!decider || scores > 0) return floats_are_classes(ctx, path, y, scores, out);
    SKV_TRY(skive_tensor_load_npy(ctx, decider, &training));
    skive_status status = SKIVE_OK;
    *out = false;
    if (skv_dtype_is_float(training.dtype) && training.rank >= 1 && skive_tensor_count(&training) == training.dims[0])
        status = floats_are_classes(ctx, decider, &training, scores, out);
    skive_tensor_free(ctx, &training);
    return status;
}

static skive_status open_pair(skive_context *ctx, const char *x_path, const char *y_path, const char *decider,
                              const skive_dataset_options *options, skive_dataset *ds) {
    SKV_TRY(skive_tensor_load_npy(ctx, x_path, &ds->x));
    SKV_TRY(check_samples(ctx, x_path, ds));
    skive_tensor y = {0};
    skive_status status;
    bool classes = false;
    if (!y_path || options->targets == SKIVE_TARGETS_NONE) return SKIVE_OK;
    SKV_TRY(skive_tensor_load_npy(ctx, y_path, &y));
    if (y.rank < 1 || y.dims[0] != (int64_t)ds->total || skive_tensor_count(&y) <= 0) {
        char text[SKV_DIMS_TEXT + 16];
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, y_path, "%s: has shape %s, but %s has %zu samples", y_path,
                             skv_tensor_text(&y, text, sizeof text), x_path, ds->total);
        goto done;
    }
    SKV_GO(status, done, check_finite(ctx, y_path, &y, (size_t)skive_tensor_count(&y) / ds->total));
    if (skive_tensor_count(&y) == (int64_t)ds->total)
        SKV_GO(status, done, are_classes(ctx, y_path, &y, decider, options, &classes));
    else if (options->targets == SKIVE_TARGETS_CLASSES)
        SKV_GO(status, done,
               skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "targets",
                           "%s: has several values per sample, which cannot be class labels", y_path));
    status = classes ? take_labels(ctx, y_path, &y, options->classes, ds) : take_targets(ctx, y_path, &y, ds);
done:
    skive_tensor_free(ctx, &y);
    return status;
}

static skive_status open_npy(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                             skive_dataset *ds) {
    char *names[4];
    int count;
    skive_status status = skv_split_args(ctx, &skv_dataset_npy, args, names, &count);
    if (status == SKIVE_OK) {
        ds->separate_test = count == 4;
        const int at = test && count == 4 ? 2 : 0;
        status = open_pair(ctx, names[at], names[at + 1], at ? names[1] : NULL, options, ds);
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
    .needs_args = true,
    .open = open_npy,
    .read = read_npy,
};
