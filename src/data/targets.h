/* What a kind of data set does with an array of targets: class labels, or values to be fitted. */
#ifndef SKV_DATA_TARGETS_H
#define SKV_DATA_TARGETS_H

#include "data/data.h"
#include "tensor/tensor.h"

/* Samples and targets must be finite: a NaN would spoil a training run hours later without any sign of its origin. */
skive_status skv_npy_finite(skive_context *ctx, const char *path, const skive_tensor *t);
/* The first axis counts the samples; finite. */
skive_status skv_npy_samples_check(skive_context *ctx, const char *path, const skive_tensor *x);
/* y [set->total] or [set->total]... becomes the labels or targets of `set`, as options->targets, its type and the
 * numbers tell. `path` names it in messages, `samples` what has the samples. `training`: the training targets, which
 * decide for all parts; NULL: these are they. */
skive_status skv_targets_take(skive_context *ctx, const char *path, const char *samples, const skive_tensor *y,
                              const skive_tensor *training, const skive_dataset_options *options, skive_dataset *set);

#endif
