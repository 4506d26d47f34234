/* See targets.h. Whether targets are classes or values to be fitted is decided by their type and numbers. */
#include "data/targets.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/spread.h"
#include "data/text/words.h"
#include "tensor/strings.h"

enum { LISTED = 12 };

skive_status skv_npy_finite(skive_context *ctx, const char *path, const skive_tensor *t) {
    const size_t per_sample = t->rank > 0 && t->dims[0] > 0 ? (size_t)skive_tensor_count(t) / (size_t)t->dims[0] : 1;
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

/* The last axis is that of columns; longer ones are taken together. */
static skive_status tell_spread(skive_context *ctx, const char *path, const skive_tensor *t) {
    enum { MOST_COLUMNS = 4096 };
    const int64_t last = t->rank > 1 ? t->dims[t->rank - 1] : 1;
    const size_t columns = last > 0 && last <= MOST_COLUMNS ? (size_t)last : 1, n = (size_t)skive_tensor_count(t);
    skv_spread *spreads = NULL;
    char name[24];
    if (skive_dtype_bits(t->dtype) < 32 || t->dtype == SKIVE_F32) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, columns, sizeof *spreads, &spreads));
    for (size_t i = 0; i < n; i++) skv_spread_add(&spreads[i % columns], skv_load_f64(t->dtype, t->data, i));
    size_t first = 0;
    while (first < columns && !skv_spread_suffers(&spreads[first])) first++;
    (void)snprintf(name, sizeof name, "%zu", first);
    if (first < columns) skv_spread_tell(ctx, &spreads[first], path, columns > 1 ? name : NULL, NULL);
    skv_free(ctx, spreads);
    return SKIVE_OK;
}

skive_status skv_npy_samples_check(skive_context *ctx, const char *path, const skive_tensor *x) {
    char text[SKV_DIMS_TEXT + 16];
    if (x->rank < 1 || skive_tensor_count(x) <= 0) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: has shape %s; the first axis counts the samples and must not be 0", path,
                           skv_tensor_text(x, text, sizeof text));
    }
    SKV_TRY(skv_npy_finite(ctx, path, x));
    return tell_spread(ctx, path, x);
}

/* ---- names of classes ---- */

static skive_status note_names(skive_context *ctx, const char *path, const skv_words *names) {
    skv_text t;
    skv_text_init(&t, ctx);
    for (size_t i = 0; i < names->n && i < LISTED; i++)
        skv_text_add(&t, "%s%.*s (%llu)", i ? ", " : "", skv_utf8_prefix(names->list[i].text, 40), names->list[i].text,
                     (unsigned long long)names->list[i].count);
    if (names->n > LISTED) skv_text_add(&t, " and %zu more", names->n - LISTED);
    const skive_status status = t.status;
    if (status == SKIVE_OK) skv_note(ctx, "%s: the texts are names of %zu classes: %s", path, names->n, t.data);
    skv_text_free(&t);
    return status;
}

/* The distinct texts of the training labels, by bytes, or as numbers if all are. */
static skive_status collect_names(skive_context *ctx, const char *path, const skive_tensor *y, skv_words *names) {
    const size_t n = (size_t)skive_tensor_count(y);
    for (size_t i = 0; i < n; i++) {
        const char *text = skv_string_at(y, i);
        if (!*text)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: the label of sample %zu is an empty text", path, i);
        SKV_TRY(skv_words_add(names, text, strlen(text), 1, NULL));
        if (names->n > SKV_MAX_CLASSES)
            return skv_fail_at(ctx, SKIVE_ERR_LIMIT, path, "%s: has more than %d different texts as labels", path,
                               (int)SKV_MAX_CLASSES);
    }
    return skv_words_sort(names);
}

static skive_status set_names(skive_context *ctx, const char *path, const skive_tensor *y, const skv_words *names,
                              skive_dataset *ds) {
    SKV_TRY(skv_alloc_array(ctx, ds->total, sizeof *ds->labels, &ds->labels));
    for (size_t i = 0; i < ds->total; i++) {
        const char *text = skv_string_at(y, i);
        const uint32_t found = skv_words_find(names, text, strlen(text));
        if (found == SKV_NO_WORD)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                               "%s: the label '%.*s' of sample %zu is none of the %zu classes of the training labels",
                               path, skv_utf8_prefix(text, 60), text, i, names->n);
        ds->labels[i] = (int32_t)found;
    }
    SKV_TRY(skv_alloc_array(ctx, names->n, sizeof *ds->class_names, &ds->class_names));
    ds->classes = (int64_t)names->n;
    for (size_t i = 0; i < names->n; i++) SKV_TRY(skv_strdup(ctx, names->list[i].text, &ds->class_names[i]));
    return SKIVE_OK;
}

/* Texts as labels are names of classes, which the training labels number. */
static skive_status take_names(skive_context *ctx, const char *path, const skive_tensor *y,
                               const skive_tensor *training, const skive_dataset_options *o, skive_dataset *ds) {
    const skive_tensor *decider = training ? training : y;
    char text[SKV_DIMS_TEXT + 16];
    skv_words names;
    skive_status status;
    if (o->targets == SKIVE_TARGETS_VALUES)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: is an array of text, which cannot be fitted as values; save it as numbers", path);
    if (skive_tensor_count(y) != (int64_t)ds->total)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: is an array of text with several values per sample (%s); as text, a sample has one "
                           "label: save it as numbers",
                           path, skv_tensor_text(y, text, sizeof text));
    if (decider->dtype != SKIVE_STRING)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: the labels are texts, but the training labels are numbers; save both in the same way",
                           path);
    skv_words_init(&names, ctx);
    SKV_GO(status, done, collect_names(ctx, path, decider, &names));
    if (o->classes && o->classes < (int64_t)names.n)
        SKV_GO(status, done,
               skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: has %zu different texts as labels, not %" PRId64, path,
                           names.n, o->classes));
    SKV_GO(status, done, set_names(ctx, path, y, &names, ds));
    status = note_names(ctx, path, &names);
done:
    skv_words_free(&names);
    return status;
}

/* ---- numbers of classes ---- */

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
    SKV_TRY(tell_spread(ctx, path, y));
    /* Images as targets have the same scale as images as samples. */
    if (y->dtype == SKIVE_U8 && y->rank > 2) {
        for (size_t i = 0; i < count; i++) ds->targets[i] /= 255.0f;
        skv_note(ctx, "%s: 8-bit targets are divided by 255, as 8-bit samples are", path);
    }
    return SKIVE_OK;
}

static skive_status are_classes(skive_context *ctx, const char *path, const skive_tensor *y,
                                const skive_tensor *training, const skive_dataset_options *o, bool *out) {
    const int64_t scores = o->model ? skv_model_scores(ctx, o->model) : -1;
    if (o->targets != SKIVE_TARGETS_AUTO || !skv_dtype_is_float(y->dtype)) {
        *out = o->targets != SKIVE_TARGETS_VALUES;
        return SKIVE_OK;
    }
    if (!training || scores > 0) return floats_are_classes(ctx, path, y, scores, out);
    *out = false;
    if (!skv_dtype_is_float(training->dtype) || training->rank < 1 || skive_tensor_count(training) != training->dims[0])
        return SKIVE_OK;
    return floats_are_classes(ctx, path, training, scores, out);
}

/* Is there a number for each position of a sample: the sample's own shape, or that without the axis of its channels? */
static bool are_positions(const skive_dataset *samples, const skive_tensor *y) {
    const int rank = y->rank - 1;
    if (!samples || rank < 1 || rank > samples->rank) return false;
    bool whole = rank == samples->rank, behind = rank + 1 == samples->rank, before = behind;
    for (int d = 0; d < rank; d++) {
        whole = whole && y->dims[d + 1] == samples->dims[d];
        behind = behind && y->dims[d + 1] == samples->dims[d + 1];
        before = before && y->dims[d + 1] == samples->dims[d];
    }
    return whole || behind || before;
}

/* Integers in the shape of the positions of an image are its mask. Bytes may be an image to be drawn, and a sequence of
 * integers a sequence to be fitted: those are labels if the caller says so. */
static skive_status are_masks(skive_context *ctx, const char *path, const skive_tensor *y,
                              const skive_dataset_options *o, const skive_dataset *set, bool *out) {
    /* Targets in a set of their own stand beside the inputs of its owner. */
    const skive_dataset *owner = set->rank == 0 && set->owner ? set->owner : set;
    const skive_dataset *samples = skv_dataset_input_count(owner) == 1 ? skv_dataset_input(owner, 0) : NULL;
    const bool fits = are_positions(samples, y);
    char text[SKV_DIMS_TEXT + 16];
    *out = false;
    if (o->targets == SKIVE_TARGETS_CLASSES) {
        *out = fits;
        if (fits) return SKIVE_OK;
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "targets",
                           "%s: has several values per sample (%s), and not one for each position of a sample, which "
                           "cannot be class labels",
                           path, skv_tensor_text(y, text, sizeof text));
    }
    if (o->targets != SKIVE_TARGETS_AUTO || skv_dtype_is_float(y->dtype) || y->dtype == SKIVE_U8) return SKIVE_OK;
    *out = fits && y->rank >= 3;
    if (*out)
        skv_note(ctx,
                 "%s: the integers, one for each position of a sample, are used as class labels; use --targets float "
                 "to fit them as values",
                 path);
    return SKIVE_OK;
}

/* One label for each position; -1 where it is of no class. The training labels count the classes. */
static skive_status take_masks(skive_context *ctx, const char *path, const skive_tensor *y,
                               const skive_tensor *training, int64_t known, skive_dataset *ds) {
    const skive_tensor *decider = training ? training : y;
    const size_t n = (size_t)skive_tensor_count(y), each = n / ds->total, all = (size_t)skive_tensor_count(decider);
    double largest = 0;
    for (size_t i = 0; !known && i < all; i++) {
        const double value = skv_load_f64(decider->dtype, decider->data, i);
        if (value > largest) largest = value;
    }
    const int64_t classes = known ? known : largest < SKV_MAX_CLASSES ? (int64_t)largest + 1 : SKV_MAX_CLASSES;
    SKV_TRY(skv_alloc_array(ctx, n, sizeof *ds->site_labels, &ds->site_labels));
    for (size_t i = 0; i < n; i++) {
        const double value = skv_load_f64(y->dtype, y->data, i);
        if (!(value >= -1 && value < (double)classes) || value != floor(value))
            return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                               "%s: label %.9g at position %zu of sample %zu is out of range: there are %" PRId64
                               " classes, numbered from 0, and -1 for no class",
                               path, value, i % each, i / each, classes);
        ds->site_labels[i] = (int32_t)value;
    }
    ds->classes = classes;
    ds->label_rank = y->rank - 1;
    for (int d = 1; d < y->rank; d++) ds->label_dims[d - 1] = y->dims[d];
    ds->label_size = each;
    return SKIVE_OK;
}

skive_status skv_targets_take(skive_context *ctx, const char *path, const char *samples, const skive_tensor *y,
                              const skive_tensor *training, const skive_dataset_options *options, skive_dataset *set) {
    bool classes = false, masks = false;
    if (y->rank < 1 || y->dims[0] != (int64_t)set->total || skive_tensor_count(y) <= 0) {
        char text[SKV_DIMS_TEXT + 16];
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: has shape %s, but %s has %zu samples", path,
                           skv_tensor_text(y, text, sizeof text), samples, set->total);
    }
    if (y->dtype == SKIVE_STRING) return take_names(ctx, path, y, training, options, set);
    if (training && training->dtype == SKIVE_STRING)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: the labels are numbers, but the training labels are texts; save both in the same way",
                           path);
    SKV_TRY(skv_npy_finite(ctx, path, y));
    if (skive_tensor_count(y) == (int64_t)set->total)
        SKV_TRY(are_classes(ctx, path, y, training, options, &classes));
    else
        SKV_TRY(are_masks(ctx, path, y, options, set, &masks));
    if (masks) return take_masks(ctx, path, y, training, options->classes, set);
    return classes ? take_labels(ctx, path, y, options->classes, set) : take_targets(ctx, path, y, set);
}
