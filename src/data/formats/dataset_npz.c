/* npz: the arrays of a file of numpy.savez, each an input under its name, one or several of them labels or targets.
 *
 * * Names that end in _train and _test (x_train, y_test, as in the files of Keras) are the two parts of one array.
 * Without the option labels, the array called y, label, labels, target or targets is the label; without inputs, all
 * others are inputs. Stored members that are large stay in the file; compressed ones are read into memory. */
#include <stdio.h>
#include <string.h>

#include "data/formats/disk.h"
#include "data/targets.h"
#include "data/formats/zip.h"

enum { HEAD = 70000 /* more than the longest header that numpy writes by default */, MOST_NAMES = 24 };

static const skv_option options[] = {
    {.name = "labels",
     .type = SKV_OPTION_LIST,
     .brief = "arrays that are labels or targets (default: y, label, labels, target or targets)"},
    {.name = "inputs", .type = SKV_OPTION_LIST, .brief = "arrays that are inputs (default: all others)"},
    {.name = "test", .type = SKV_OPTION_TEXT, .brief = "a file with the arrays of the test samples"},
    SKV_DISK_OPTION,
};

typedef struct archive {
    skive_context *ctx;
    skive_dataset *ds;
    const char *path;
    skv_zip zip;
    const char *suffix; /* "_train" or "_test": only such names count, without it; "": all */
} archive;

/* ---- names ---- */

static bool ends_in(const char *text, size_t n, const char *end) {
    const size_t length = strlen(end);
    return n > length && memcmp(text + n - length, end, length) == 0;
}

/* Length of a member's name without ".npy" and the suffix of its part; 0: not an array of this part. */
static size_t array_name(const archive *a, const skv_zip_member *m) {
    size_t n = strlen(m->name);
    if (!ends_in(m->name, n, ".npy")) return 0;
    n -= 4;
    if (!*a->suffix) return n;
    return ends_in(m->name, n, a->suffix) ? n - strlen(a->suffix) : 0;
}

static const skv_zip_member *find(const archive *a, const char *name, size_t length) {
    for (size_t i = 0; i < a->zip.n; i++) {
        if (array_name(a, &a->zip.members[i]) == length && memcmp(a->zip.members[i].name, name, length) == 0)
            return &a->zip.members[i];
    }
    return NULL;
}

static bool has_suffix(const archive *a, const char *suffix) {
    for (size_t i = 0; i < a->zip.n; i++) {
        const size_t n = strlen(a->zip.members[i].name);
        if (n > 4 && ends_in(a->zip.members[i].name, n - 4, suffix)) return true;
    }
    return false;
}

static skive_status no_array(const archive *a, const char *name, size_t length) {
    char list[600] = "";
    size_t at = 0;
    for (size_t i = 0; i < a->zip.n && at + 80 < sizeof list; i++) {
        const size_t n = array_name(a, &a->zip.members[i]);
        if (n == 0) continue;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%.*s", at ? ", " : "", n > 60 ? 60 : (int)n,
                               a->zip.members[i].name);
    }
    return skv_fail_at(a->ctx, SKIVE_ERR_ARGUMENT, "data", "%s: has no array '%.*s'; there are: %s", a->path,
                       (int)length, name, list);
}

/* ---- arrays ---- */

static skive_status head_of(const archive *a, const skv_zip_member *m, skv_npy_info *info) {
    unsigned char *head = NULL;
    size_t got = 0;
    char where[400];
    (void)snprintf(where, sizeof where, "%s, '%s'", a->path, m->name);
    SKV_TRY(skv_alloc(a->ctx, HEAD, &head));
    skive_status status = skv_zip_peek(&a->zip, m, head, HEAD, &got);
    if (status == SKIVE_OK) status = skv_npy_head(a->ctx, where, head, got, m->size, info);
    skv_free(a->ctx, head);
    return status;
}

static skive_status load(const archive *a, const skv_zip_member *m, skive_tensor *out) {
    void *data = NULL;
    char where[400];
    (void)snprintf(where, sizeof where, "%s, '%s'", a->path, m->name);
    SKV_TRY(skv_zip_read(&a->zip, m, &data));
    const skive_status status = skv_npy_parse(a->ctx, where, data, (size_t)m->size, out);
    if (status != SKIVE_OK) skv_free(a->ctx, data);
    return status;
}

static skive_status take_samples(const archive *a, const skv_zip_member *m, const skv_npy_info *info,
                                 skive_dataset *set) {
    char where[400];
    (void)snprintf(where, sizeof where, "%s, '%s'", a->path, m->name);
    const uint64_t row = info->dims[0] > 0 ? info->bytes / (uint64_t)info->dims[0] : 0;
    if (!m->deflated && skv_disk_wanted(a->ctx, where, skv_option_text(a->ds->values, "disk"), info->bytes, row))
        return skv_dataset_take_disk(a->ctx, set, a->path, m->offset, info);
    skive_tensor t = {0};
    SKV_TRY(load(a, m, &t));
    const skive_status status = skv_npy_samples_check(a->ctx, where, &t);
    if (status == SKIVE_OK) skv_dataset_take_samples(set, &t);
    skive_tensor_free(a->ctx, &t);
    return status;
}

static skive_status add_input(const archive *a, const skv_zip_member *m, size_t length) {
    skv_npy_info info;
    skive_dataset *set = NULL;
    char *name = NULL;
    char text[SKV_DIMS_TEXT];
    SKV_TRY(head_of(a, m, &info));
    if (info.dtype == SKIVE_STRING)
        return skv_fail_at(a->ctx, SKIVE_ERR_DATA, a->path,
                           "%s: array '%.*s' has text, which cannot be an input; choose arrays of numbers with "
                           "inputs=NAME, or name it as the labels with labels=%.*s",
                           a->path, (int)length, m->name, (int)length, m->name);
    if (info.rank < 1 || info.bytes == 0)
        return skv_fail_at(a->ctx, SKIVE_ERR_DATA, a->path,
                           "%s: array '%.*s' has shape %s; the first axis counts the samples and must not be 0",
                           a->path, (int)length, m->name, skv_dims_text(info.rank, info.dims, text, sizeof text));
    if (a->ds->total == 0) a->ds->total = (size_t)info.dims[0];
    if ((size_t)info.dims[0] != a->ds->total)
        return skv_fail_at(a->ctx, SKIVE_ERR_DATA, a->path,
                           "%s: array '%.*s' has %lld samples, but there are %zu; choose arrays with inputs=", a->path,
                           (int)length, m->name, (long long)info.dims[0], a->ds->total);
    SKV_TRY(skv_dataset_new_child(a->ctx, a->ds, &set));
    SKV_TRY(take_samples(a, m, &info, set));
    SKV_TRY(skv_strdup_n(a->ctx, m->name, length, &name));
    const skive_status status = skv_dataset_add_input(a->ctx, a->ds, name, set);
    skv_free(a->ctx, name);
    return status;
}

/* `training`: the training part's array of the same name, which decides what floats are; NULL: this is it. */
static skive_status add_target(const archive *a, const skv_zip_member *m, size_t length, const archive *training,
                               bool several) {
    const skv_zip_member *other = training ? find(training, m->name, length) : NULL;
    skive_dataset_options o = a->ds->options;
    skive_tensor y = {0}, first = {0};
    skive_dataset *set = NULL;
    char *name = NULL, where[400];
    skive_status status;
    (void)snprintf(where, sizeof where, "%s, '%s'", a->path, m->name);
    if (several) { /* one number of classes, and one model's output, cannot be for all */
        o.classes = 0;
        o.model = NULL;
    }
    SKV_TRY(skv_dataset_new_child(a->ctx, a->ds, &set));
    set->total = a->ds->total;
    SKV_GO(status, done, load(a, m, &y));
    if (other) SKV_GO(status, done, load(training, other, &first));
    SKV_GO(status, done, skv_targets_take(a->ctx, where, a->path, &y, other ? &first : NULL, &o, set));
    SKV_GO(status, done, skv_strdup_n(a->ctx, m->name, length, &name));
    SKV_GO(status, done, skv_dataset_add_answer(a->ctx, a->ds, several ? name : NULL, set));
    if (several) goto done;
    a->ds->answer_name = name;
    name = NULL;
done:
    skv_free(a->ctx, name);
    skive_tensor_free(a->ctx, &y);
    skive_tensor_free(a->ctx, &first);
    return status;
}

/* ---- the choice ---- */

typedef struct chosen {
    size_t lengths[MOST_NAMES], n;
    const skv_zip_member *members[MOST_NAMES];
} chosen;

static skive_status choose(const archive *a, const char *list, chosen *out) {
    for (const char *at = list; at && *at;) {
        const size_t n = strcspn(at, ",");
        const skv_zip_member *m = find(a, at, n);
        if (!m) return no_array(a, at, n);
        if (out->n == MOST_NAMES)
            return skv_fail_at(a->ctx, SKIVE_ERR_LIMIT, "data", "%s: more than %d arrays", a->path, (int)MOST_NAMES);
        out->lengths[out->n] = n;
        out->members[out->n++] = m;
        at += n + (at[n] == ',');
    }
    return SKIVE_OK;
}

static bool is_chosen(const chosen *c, const skv_zip_member *m) {
    for (size_t i = 0; i < c->n; i++) {
        if (c->members[i] == m) return true;
    }
    return false;
}

/* The label by its name, if the options name none. */
static skive_status usual_label(const archive *a, const chosen *inputs, chosen *labels) {
    static const char *const usual[] = {"y", "label", "labels", "target", "targets"};
    for (size_t i = 0; i < SKV_LENGTH(usual); i++) {
        const skv_zip_member *m = find(a, usual[i], strlen(usual[i]));
        if (!m || is_chosen(inputs, m)) continue;
        if (labels->n)
            return skv_fail_at(a->ctx, SKIVE_ERR_DATA, a->path,
                               "%s: '%.*s' and '%s' could both be the labels; choose with labels=NAME", a->path,
                               (int)labels->lengths[0], labels->members[0]->name, usual[i]);
        labels->lengths[0] = strlen(usual[i]);
        labels->members[0] = m;
        labels->n = 1;
    }
    return SKIVE_OK;
}

static skive_status take_all(const archive *a, const archive *training) {
    const skv_option_values *v = a->ds->values;
    const bool wanted = a->ds->options.targets != SKIVE_TARGETS_NONE;
    chosen inputs = {.n = 0}, labels = {.n = 0};
    SKV_TRY(choose(a, skv_option_text(v, "inputs"), &inputs));
    SKV_TRY(choose(a, skv_option_text(v, "labels"), &labels));
    if (labels.n == 0) SKV_TRY(usual_label(a, &inputs, &labels));
    for (size_t i = 0; i < a->zip.n; i++) {
        const skv_zip_member *m = &a->zip.members[i];
        const size_t n = array_name(a, m);
        if (n && !is_chosen(&labels, m) && (inputs.n == 0 || is_chosen(&inputs, m))) SKV_TRY(add_input(a, m, n));
    }
    if (a->ds->n_inputs == 0)
        return skv_fail_at(a->ctx, SKIVE_ERR_DATA, a->path, "%s: has no array of samples", a->path);
    for (size_t i = 0; wanted && i < labels.n; i++)
        SKV_TRY(add_target(a, labels.members[i], labels.lengths[i], training, labels.n > 1));
    return SKIVE_OK;
}

static skive_status open_npz(skive_context *ctx, const char *args, bool test, const skive_dataset_options *given,
                             skive_dataset *ds) {
    const char *other = skv_option_text(ds->values, "test");
    archive train = {.ctx = ctx, .ds = ds, .path = args, .suffix = ""}, own;
    skive_status status;
    (void)given;
    SKV_TRY(skv_zip_open(ctx, args, &train.zip));
    const bool pairs = !other && has_suffix(&train, "_train") && has_suffix(&train, "_test");
    if (pairs) train.suffix = "_train";
    ds->separate_test = other || pairs;
    if (!test || !ds->separate_test) {
        status = take_all(&train, NULL);
    } else {
        own = train;
        own.suffix = pairs ? "_test" : "";
        if (other) {
            own.path = other;
            SKV_GO(status, done, skv_zip_open(ctx, other, &own.zip));
        }
        status = take_all(&own, &train);
        if (other) skv_zip_close(&own.zip);
    }
done:
    skv_zip_close(&train.zip);
    return status;
}

const skv_dataset_kind skv_dataset_npz = {
    .name = "npz",
    .syntax = "npz:FILE[,labels=NAME...][,inputs=NAME...][,test=FILE]",
    .brief = "arrays of a file of numpy.savez, each an input under its name",
    SKV_OPTIONS(options),
    .needs_args = true,
    .open = open_npz,
};
