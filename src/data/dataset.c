/* Opening a data set: finding its kind, selecting the samples of the split, and reading single samples. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/feed.h"
#include "data/formats/disk.h"
#include "tensor/tensor.h"

static const skv_dataset_kind *const kinds[] = {
#define X(id) &skv_dataset_##id,
#include "data/datasets.inc"
#undef X
};

enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

SKV_FAMILY(dataset, kinds, "kind of data set")

/* Streams of the seed, so that the two permutations are independent. */
enum { STREAM_VALIDATION = 1, STREAM_LIMIT = 2 };

/* ---- the list ---- */

size_t skive_dataset_kind_count(void) { return KIND_COUNT; }

const char *skive_dataset_kind_name(size_t index) { return index < KIND_COUNT ? kinds[index]->name : NULL; }

const char *skv_dataset_naming(const char *kind) {
    for (size_t i = 0; kind && i < skive_dataset_kind_count(); i++) {
        if (strcmp(kinds[i]->name, kind) == 0) return kinds[i]->naming;
    }
    return NULL;
}

const char *skive_dataset_kind_syntax(size_t index) { return index < KIND_COUNT ? kinds[index]->syntax : NULL; }

const char *skive_dataset_kind_brief(size_t index) { return index < KIND_COUNT ? kinds[index]->brief : NULL; }

const char *skive_split_name(skive_split split) {
    switch (split) {
    case SKIVE_SPLIT_TRAIN: return "train";
    case SKIVE_SPLIT_VALIDATION: return "validation";
    case SKIVE_SPLIT_TEST: return "test";
    case SKIVE_SPLIT_TRAIN_FULL: return "train-full";
    }
    return "unknown";
}

/* ---- helpers of the kinds ---- */

bool skv_path_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

bool skv_path_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void skv_free_args(skive_context *ctx, char *names[4]) {
    for (int i = 0; i < 4; i++) skv_free(ctx, names[i]);
}

static bool is_escape(const char *c) { return c[0] == '\\' && (c[1] == ',' || c[1] == '\\'); }

skive_status skv_split_args(skive_context *ctx, const skv_dataset_kind *kind, const char *args, char *names[4],
                            int *count) {
    const char *at = args;
    bool good = true, more = true;
    memset(names, 0, 4 * sizeof *names);
    for (*count = 0; more && *count < 4; ++*count) {
        const char *end = at;
        while (*end && *end != ',') end += is_escape(end) ? 2 : 1;
        SKV_TRY(skv_strdup_n(ctx, at, (size_t)(end - at), &names[*count]));
        char *to = names[*count];
        for (const char *c = at; c < end; c++) {
            if (is_escape(c)) c++;
            *to++ = *c;
        }
        *to = '\0';
        good = good && end > at;
        more = *end == ',';
        at = end + 1;
    }
    if (good && !more && *count != 3) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "data",
                       "data set '%s:%s': expected %s (write a comma in a file name as \\,)", kind->name, args,
                       kind->syntax);
}

skive_status skv_labels_check_part(skive_context *ctx, const char *path, int64_t known, skive_dataset *ds, size_t first,
                                   size_t n) {
    int64_t largest = first == 0 ? 0 : ds->classes - 1;
    for (size_t i = first; i < first + n; i++) {
        if (known && ds->labels[i] >= known) {
            return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                               "%s: label %" PRId32 " of sample %zu is out of range: there are %" PRId64
                               " classes, numbered from 0",
                               path, ds->labels[i], i - first, known);
        }
        if (ds->labels[i] > largest) largest = ds->labels[i];
    }
    ds->classes = known ? known : largest + 1;
    return SKIVE_OK;
}

skive_status skv_labels_check(skive_context *ctx, const char *path, int64_t known, skive_dataset *ds) {
    return skv_labels_check_part(ctx, path, known, ds, 0, ds->total);
}

/* ---- opening ---- */

skive_dataset_options skive_dataset_options_default(void) {
    return (skive_dataset_options){.size = sizeof(skive_dataset_options),
                                   .split = SKIVE_SPLIT_TRAIN,
                                   .validation_fraction = 1.0 / 12.0,
                                   .seed = 1};
}

static skive_status check_options(skive_context *ctx, const skive_dataset_options *given, skive_dataset_options *o) {
    *o = skive_dataset_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_dataset_options", given, o, sizeof *o));
    if ((unsigned)o->split > SKIVE_SPLIT_TRAIN_FULL) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "split", "there is no split %d", (int)o->split);
    }
    if (!(o->validation_fraction >= 0.0 && o->validation_fraction < 1.0)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "validation_fraction",
                           "validation fraction %g is out of range: give 0 to below 1", o->validation_fraction);
    }
    if (o->crop_h < 0 || o->crop_w < 0 || (o->crop_h == 0) != (o->crop_w == 0) || o->crop_h > SKV_IMAGE_MAX_SIDE ||
        o->crop_w > SKV_IMAGE_MAX_SIDE) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "crop",
                           "crop of %" PRId64 "x%" PRId64 " (height x width) is out of range: give 1 to %d", o->crop_h,
                           o->crop_w, (int)SKV_IMAGE_MAX_SIDE);
    }
    if (o->resize_shorter < 0 || o->resize_shorter > SKV_IMAGE_MAX_SIDE || (o->resize_shorter && o->resize_h)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "resize",
                           "resize of the shorter side to %" PRId64 ": give 1 to %d, and no height and width",
                           o->resize_shorter, (int)SKV_IMAGE_MAX_SIDE);
    }
    if ((o->resize_h && (o->crop_h > o->resize_h || o->crop_w > o->resize_w)) ||
        (o->resize_shorter && o->crop_h > o->resize_shorter && o->crop_w > o->resize_shorter)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "crop",
                           "crop of %" PRId64 "x%" PRId64
                           " (height x width) is larger than the size that images are resized to",
                           o->crop_h, o->crop_w);
    }
    if (o->channels != 0 && o->channels != 1 && o->channels != 3) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "channels",
                           "%" PRId64 " image channels are not possible: give 1, 3 or 0", o->channels);
    }
    if ((unsigned)o->targets > SKIVE_TARGETS_NONE) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "targets", "there is no target type %d", (int)o->targets);
    }
    bool both = (o->resize_h == 0) == (o->resize_w == 0);
    if (!both || o->resize_h < 0 || o->resize_w < 0 || o->resize_h > SKV_IMAGE_MAX_SIDE ||
        o->resize_w > SKV_IMAGE_MAX_SIDE) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "resize",
                           "resize to %" PRId64 "x%" PRId64 " is out of range: give width and height of 1 to %d",
                           o->resize_w, o->resize_h, (int)SKV_IMAGE_MAX_SIDE);
    }
    if (o->classes < 0 || o->classes > SKV_MAX_CLASSES) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "classes", "%" PRId64 " classes: give 1 to %d, or 0 to count them",
                           o->classes, (int)SKV_MAX_CLASSES);
    }
    return SKIVE_OK;
}

static skive_status unknown_kind(skive_context *ctx, const char *spec) {
    if (skv_path_is_folder(spec)) {
        return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, "data", "data set '%s': for a folder of images write folder:%s",
                           spec, spec);
    }
    return skv_fail_unknown(ctx, SKIVE_ERR_NOT_FOUND, "data", "such kind of data set", spec, skive_dataset_kind_syntax);
}

/* Resizes 8-bit samples in memory, plane by plane, and crops the centre. */
static skive_status resize_in_memory(skive_context *ctx, const skive_dataset_options *o, skive_dataset *ds) {
    if (ds->kind->read && !ds->u8 && !ds->x.data) return SKIVE_OK; /* resized when they are read */
    if (!ds->u8 || (ds->rank != 3 && ds->rank != 2)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "resize", "data set '%s': only 8-bit images can be resized",
                           ds->spec);
    }
    const bool last = ds->rank == 3 && skv_channel_axis_of(ds->rank, ds->dims) == 2; /* [h][w][c] */
    int64_t *size = last ? ds->dims : ds->dims + ds->rank - 2, h, w;
    if (size[0] > SKV_IMAGE_MAX_SIDE || size[1] > SKV_IMAGE_MAX_SIDE) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "resize", "data set '%s': its images are too large to resize",
                           ds->spec);
    }
    skv_scaled_size(o, size[0], size[1], &h, &w);
    const int64_t out_h = o->crop_h ? o->crop_h : h, out_w = o->crop_w ? o->crop_w : w;
    if (out_h > h || out_w > w) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "crop",
                           "data set '%s': its images have %" PRId64 "x%" PRId64
                           " pixels (height x width), less than the crop of %" PRId64 "x%" PRId64,
                           ds->spec, h, w, out_h, out_w);
    }
    if (size[0] == out_h && size[1] == out_w && h == out_h && w == out_w) return SKIVE_OK;
    const size_t together = last ? (size_t)ds->dims[2] : 1; /* interleaved values of a pixel */
    SKV_TRY(skv_image_check(ctx, ds->spec, (uint64_t)w, (uint64_t)h, (int)together));
    skv_resizer *resizer = NULL;
    uint8_t *scaled = NULL, *plane = NULL;
    const size_t from = (size_t)(size[0] * size[1]) * together, line = (size_t)out_w * together;
    const size_t to = (size_t)out_h * line, channels = ds->rank == 3 && !last ? (size_t)ds->dims[0] : 1;
    size_t planes = ds->total * channels, bytes;
    const size_t top = (size_t)skv_crop_start(h, out_h), left = (size_t)skv_crop_start(w, out_w);
    if (!skv_mul_size(planes, to, &bytes)) {
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "%s: the resized data set is too large", ds->spec);
    }
    SKV_TRY(skv_resizer_create(ctx, size[0], size[1], h, w, (int)together, &resizer));
    skive_status status = skv_alloc(ctx, bytes, &scaled);
    if (status == SKIVE_OK) status = skv_alloc(ctx, (size_t)(h * w) * together, &plane);
    for (size_t i = 0; status == SKIVE_OK && i < planes; i++) {
        skv_resizer_run(resizer, ds->u8 + i * from, plane);
        for (size_t y = 0; y < (size_t)out_h; y++)
            memcpy(scaled + i * to + y * line, plane + ((top + y) * (size_t)w + left) * together, line);
    }
    if (status == SKIVE_OK) {
        skv_free(ctx, ds->u8_block);
        skive_tensor_free(ctx, &ds->x);
        ds->u8 = scaled;
        ds->u8_block = scaled;
        size[0] = out_h;
        size[1] = out_w;
        ds->size = channels * to;
    } else {
        skv_free(ctx, scaled);
    }
    skv_free(ctx, plane);
    skv_resizer_free(resizer);
    return status;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static skive_status identity(skive_context *ctx, size_t n, uint32_t **out) {
    SKV_TRY(skv_alloc_array(ctx, n, sizeof **out, out));
    for (size_t i = 0; i < n; i++) (*out)[i] = (uint32_t)i;
    return SKIVE_OK;
}

static size_t held_count(const skive_dataset_options *o, size_t total) {
    const size_t held = (size_t)llround((double)total * o->validation_fraction);
    return held == 0 && o->validation_fraction > 0.0 ? 1 : held;
}

skive_status skv_dataset_held_out(skive_context *ctx, const skive_dataset_options *o, size_t total, bool separate,
                                  uint8_t **out) {
    uint32_t *order = NULL;
    const size_t held = held_count(o, total);
    *out = NULL;
    if (o->split == SKIVE_SPLIT_TRAIN_FULL || separate || held == 0 || held >= total) return SKIVE_OK;
    if (total > UINT32_MAX) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "there are more than 2^32 samples");
    SKV_TRY(identity(ctx, total, &order));
    const skive_status status = skv_alloc_array(ctx, total, 1, out);
    if (status == SKIVE_OK) {
        skv_rng_shuffle(o->seed, STREAM_VALIDATION, order, total);
        for (size_t i = 0; i < held; i++) (*out)[order[i]] = 1;
    }
    skv_free(ctx, order);
    return status;
}

/* The samples of the files that belong to the split, in the order of the files. */
static skive_status choose_samples(skive_context *ctx, const skive_dataset_options *o, skive_dataset *ds) {
    size_t first = 0;
    if (ds->total > UINT32_MAX) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "%s: has more than 2^32 samples", ds->spec);
    ds->count = ds->total;
    bool carve = o->split == SKIVE_SPLIT_VALIDATION || (o->split == SKIVE_SPLIT_TRAIN && o->validation_fraction > 0.0);
    if (carve && !ds->separate_validation) {
        const size_t held = held_count(o, ds->total);
        if (held == 0 || held >= ds->total) {
            return skv_fail_at(ctx, SKIVE_ERR_DATA, "validation_fraction",
                               "%s: of %zu sample%s, holding out a fraction of %g for validation leaves the %s split "
                               "empty; --no-validation trains on all samples",
                               ds->spec, ds->total, ds->total == 1 ? "" : "s", o->validation_fraction,
                               skive_split_name(o->split));
        }
        SKV_TRY(identity(ctx, ds->total, &ds->order));
        skv_rng_shuffle(o->seed, STREAM_VALIDATION, ds->order, ds->total);
        if (o->split == SKIVE_SPLIT_TRAIN) first = held;
        ds->count = o->split == SKIVE_SPLIT_TRAIN ? ds->total - held : held;
        memmove(ds->order, ds->order + first, ds->count * sizeof *ds->order);
        qsort(ds->order, ds->count, sizeof *ds->order, by_number);
    }
    if (o->skip >= ds->count && o->skip)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, "skip", "%s: of %zu samples, none is left without the first %zu",
                           ds->spec, ds->count, o->skip);
    if (o->skip || (o->limit && o->limit < ds->count)) { /* a random choice: files are often sorted by class */
        const size_t left = ds->count - o->skip;
        if (!ds->order) SKV_TRY(identity(ctx, ds->count, &ds->order));
        skv_rng_shuffle(o->seed, STREAM_LIMIT, ds->order, ds->count);
        ds->count = o->limit && o->limit < left ? o->limit : left;
        memmove(ds->order, ds->order + o->skip, ds->count * sizeof *ds->order);
        qsort(ds->order, ds->count, sizeof *ds->order, by_number);
    }
    return SKIVE_OK;
}

/* The kind that a specification names, and the text behind its colon. */
static skive_status find_kind(skive_context *ctx, const char *spec, const skv_dataset_kind **out, const char **args) {
    const char *colon = strchr(spec, ':');
    const size_t length = colon ? (size_t)(colon - spec) : strlen(spec);
    *args = colon ? colon + 1 : "";
    *out = NULL;
    for (size_t i = 0; i < KIND_COUNT && !*out; i++) {
        if (strlen(kinds[i]->name) == length && strncmp(kinds[i]->name, spec, length) == 0) *out = kinds[i];
    }
    return *out ? SKIVE_OK : unknown_kind(ctx, spec);
}

/* All samples of the files for the split, in their order. */
static skive_status open_all(skive_context *ctx, const char *spec, const skive_dataset_options *o,
                             skive_dataset **out) {
    const skv_dataset_kind *kind = NULL;
    const char *args;
    char *files = NULL;
    skive_dataset *ds = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(find_kind(ctx, spec, &kind, &args));
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *ds, &ds));
    ds->ctx = ctx;
    ds->kind = kind;
    ds->split = o->split;
    ds->options = *o;
    ds->options.size = sizeof ds->options;
    SKV_GO(status, done, skv_strdup(ctx, spec, &ds->spec));
    SKV_GO(status, done, skv_split_options(ctx, kind, args, &files, ds));
    if (kind->needs_args && !*files)
        SKV_GO(status, done,
               skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "data", "data set '%s': expected %s", spec, kind->syntax));
    SKV_GO(status, done, kind->open(ctx, files, o->split == SKIVE_SPLIT_TEST, o, ds));
    if (ds->n_inputs == 0 && (o->resize_h || o->resize_shorter || o->crop_h)) status = resize_in_memory(ctx, o, ds);
done:
    skv_free(ctx, files);
    if (status == SKIVE_OK)
        *out = ds;
    else
        skive_dataset_free(ds);
    return status;
}

skive_status skv_dataset_open_child(skive_context *ctx, skive_dataset *ds, const char *spec,
                                    const skive_dataset_options *options, skive_dataset **out) {
    skive_dataset *child = NULL;
    *out = NULL;
    SKV_TRY(skv_grow(ctx, &ds->children, ds->n_children, ds->n_children + 1, sizeof(skive_dataset *)));
    SKV_TRY(open_all(ctx, spec, options, &child));
    child->owner = ds;
    child->options.model = NULL;
    ds->children[ds->n_children++] = child;
    *out = child;
    return SKIVE_OK;
}

skive_status skive_dataset_open(skive_context *ctx, const char *spec, const skive_dataset_options *options,
                                skive_dataset **out) {
    SKV_NEED(ctx, "ctx, spec, out", ctx, spec, out);
    if (out) *out = NULL;
    skive_dataset_options o;
    skive_dataset *ds = NULL;
    skive_status status;
    SKV_TRY(check_options(ctx, options, &o));
    SKV_TRY(open_all(ctx, spec, &o, &ds));
    SKV_GO(status, fail, skv_dataset_parts_check(ctx, ds));
    skive_dataset *labelled = ds->label_rank && ds->n_answers ? ds->answers[0].set : ds;
    SKV_GO(status, fail, skv_classes_match(ctx, &o, labelled));
    ds->label_rank = labelled->label_rank;
    ds->classes = labelled->classes;
    ds->options.model = NULL; /* borrowed */
    ds->options.preprocessing = ds->recipe;
    ds->by_order = o.classes_by_order;
    ds->options.classes_by_order = true;
    SKV_GO(status, fail, choose_samples(ctx, &o, ds));
    SKV_GO(status, fail, skv_dataset_parts_finish(ctx, ds));
    skv_log(ctx, SKIVE_LOG_INFO, "%s: %zu sample%s in the %s split", spec, ds->count, ds->count == 1 ? "" : "s",
            skive_split_name(o.split));
    *out = ds;
    return SKIVE_OK;
fail:
    skive_dataset_free(ds);
    return status;
}

void skive_dataset_free(skive_dataset *ds) {
    if (!ds) return;
    skive_context *ctx = ds->ctx;
    if (ds->kind->close) ds->kind->close(ds);
    skv_dataset_parts_free(ds);
    if (ds->class_names) {
        for (int64_t i = 0; i < ds->classes; i++) skv_free(ctx, ds->class_names[i]);
        skv_free(ctx, ds->class_names);
    }
    skv_free(ctx, ds->u8_block);
    skive_tensor_free(ctx, &ds->x);
    skv_disk_free(ds->disk);
    skv_free(ctx, ds->labels);
    skv_free(ctx, ds->site_labels);
    skv_free(ctx, ds->targets);
    skv_free(ctx, ds->answer_name);
    if (!ds->owner) skv_free(ctx, ds->order);
    skv_free(ctx, ds->values);
    skv_free(ctx, ds->recipe);
    for (size_t i = 0; ds->value_names && i < ds->size; i++) skv_free(ctx, ds->value_names[i]);
    skv_free(ctx, ds->value_names);
    skv_free(ctx, ds->first_left_out);
    skv_free(ctx, ds->label_to);
    skv_free(ctx, ds->spec);
    skv_free(ctx, ds);
}

/* ---- reading ---- */

void skive_dataset_get_info(const skive_dataset *ds, skive_dataset_info *out) {
    if (!out) return;
    *out = (skive_dataset_info){0};
    if (!ds) return;
    const skive_dataset *x = skv_dataset_input(ds, 0);
    *out = (skive_dataset_info){
        .kind = ds->kind->name,
        .spec = ds->spec,
        .split = ds->split,
        .count = ds->count,
        .rank = x->rank,
        .sample_size = x->size,
        .labelled = skv_dataset_labelled(ds),
        .label_rank = ds->label_rank,
        .label_size = ds->label_rank ? ds->label_size
                      : ds->labels   ? 1
                                     : 0,
        .classes = ds->classes,
        .class_names = (const char *const *)ds->class_names,
        .target_rank = ds->target_rank,
        .target_size = ds->target_size,
        .separate_test = ds->separate_test,
        .dtype = skv_dataset_dtype(x),
        .channel_axis = x->channel_axis,
        .n_inputs = skv_dataset_input_count(ds),
        .n_targets = skv_dataset_answer_count(ds),
        .inputs = ds->input_list,
        .targets = ds->target_list,
        .preprocessing = x->recipe,
        .vocabulary = x->vocabulary,
    };
    memcpy(out->dims, x->dims, sizeof out->dims);
    memcpy(out->target_dims, ds->target_dims, sizeof out->target_dims);
    memcpy(out->label_dims, ds->label_dims, sizeof out->label_dims);
}

static skive_status check_index(skive_context *ctx, const skive_dataset *ds, size_t index) {
    if (index < ds->count) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "%s: there is no sample %zu; the %s split has %zu", ds->spec, index,
                    skive_split_name(ds->split), ds->count);
}

skive_status skv_dataset_load(skive_context *ctx, const skive_dataset *ds, size_t at, void *x) {
    return ds->disk ? skv_disk_read(ctx, ds->disk, at, x) : ds->kind->load(ctx, ds, at, x);
}

/* Samples that stay on disk in a type of their own. */
static skive_status load_floats(skive_context *ctx, const skive_dataset *ds, size_t at, float *x) {
    const skive_dtype dtype = skv_dataset_dtype(ds);
    const size_t bytes = (size_t)skive_dtype_bits(dtype) / 8;
    void *wide = NULL;
    if (dtype == SKIVE_F32) return skv_dataset_load(ctx, ds, at, x);
    SKV_TRY(skv_alloc_array(ctx, ds->size, bytes, &wide));
    const skive_status status = skv_dataset_load(ctx, ds, at, wide);
    if (status == SKIVE_OK) skv_to_f32(dtype, wide, 0, ds->size, x);
    if (status == SKIVE_OK && dtype == SKIVE_U8) {
        for (size_t i = 0; i < ds->size; i++) x[i] *= 1.0f / 255.0f;
    }
    skv_free(ctx, wide);
    return status;
}

skive_status skive_dataset_read(skive_context *ctx, const skive_dataset *ds, size_t index, float *x, int64_t *label) {
    SKV_NEED(ctx, "ctx, dataset", ctx, ds);
    SKV_TRY(check_index(ctx, ds, index));
    size_t at = skv_dataset_at(ds, index);
    if (label) *label = ds->labels ? ds->labels[at] : -1;
    if (!x) return SKIVE_OK;
    ds = skv_dataset_input(ds, 0);
    if (!ds->u8 && !ds->x.data && skv_dataset_loads(ds)) return load_floats(ctx, ds, at, x);
    if (!ds->u8) return ds->kind->read(ctx, ds, at, x);
    const uint8_t *from = ds->u8 + at * ds->size;
    for (size_t i = 0; i < ds->size; i++) x[i] = (float)from[i] * (1.0f / 255.0f);
    return SKIVE_OK;
}

skive_status skive_dataset_read_target(skive_context *ctx, const skive_dataset *ds, size_t index, float *y) {
    SKV_NEED(ctx, "ctx, dataset, y", ctx, ds, y);
    SKV_TRY(check_index(ctx, ds, index));
    if (!ds->targets) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "%s: has class labels, not float targets", ds->spec);
    }
    memcpy(y, ds->targets + skv_dataset_at(ds, index) * ds->target_size, ds->target_size * sizeof *y);
    return SKIVE_OK;
}

skive_status skive_dataset_read_labels(skive_context *ctx, const skive_dataset *ds, size_t index, int64_t *labels) {
    SKV_NEED(ctx, "ctx, dataset, labels", ctx, ds, labels);
    SKV_TRY(check_index(ctx, ds, index));
    const size_t at = skv_dataset_at(ds, index);
    if (ds->label_rank) ds = skv_dataset_answer(ds, 0);
    if (ds->labels) {
        labels[0] = ds->labels[at];
        return SKIVE_OK;
    }
    if (!ds->label_rank) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "%s: has no class labels", ds->spec);
    if (ds->site_labels)
        for (size_t i = 0; i < ds->label_size; i++) labels[i] = ds->site_labels[at * ds->label_size + i];
    else
        SKV_TRY(ds->kind->read_labels(ctx, ds, at, labels));
    for (size_t i = 0; ds->label_to && i < ds->label_size; i++)
        labels[i] = labels[i] < 0 ? labels[i] : ds->label_to[labels[i]];
    return SKIVE_OK;
}

const char *skive_dataset_value_name(const skive_dataset *ds, size_t value) {
    if (!ds) return NULL;
    const skive_dataset *x = skv_dataset_input(ds, 0);
    return x->value_names && value < x->size ? x->value_names[value] : NULL;
}

size_t skive_dataset_origin(const skive_dataset *ds, size_t index) {
    return ds && index < ds->count ? skv_dataset_at(ds, index) : SIZE_MAX;
}
