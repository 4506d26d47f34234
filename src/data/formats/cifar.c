/* The binary files of Krizhevsky's sets (https://www.cs.toronto.edu/~kriz/cifar.html, "binary
 * version"). A record is one label (CIFAR-100: the coarse and the fine one) and 3 planes of 32 x 32 bytes. */
#include "data/formats/cifar.h"

#include <stdio.h>
#include <string.h>

#include "data/formats/disk.h"

enum { PIXELS = 3 * 32 * 32 };

static skive_status find_folder(skive_context *ctx, const char *dir, const skv_cifar *l, char **out) {
    char *path = NULL;
    SKV_TRY(skv_asprintf(ctx, &path, "%s/%s", dir, l->folder));
    if (!skv_path_is_folder(path)) {
        skv_free(ctx, path);
        return skv_strdup(ctx, dir, out);
    }
    *out = path;
    return SKIVE_OK;
}

/* Whole records, or the file is of another kind. */
static skive_status count_records(skive_context *ctx, const char *path, size_t record, size_t *out) {
    skv_reader *r = NULL;
    SKV_TRY(skv_reader_open(ctx, path, &r));
    const uint64_t size = skv_reader_size(r);
    skv_reader_close(r);
    *out = (size_t)(size / record);
    if (size > 0 && size % record == 0) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                       "%s: has %llu bytes, which is no whole number of records of %zu bytes (truncated, or not the "
                       "binary version of the data set?)",
                       path, (unsigned long long)size, record);
}

/* One class a line; without the file, or with another number of lines, classes have no names. */
static skive_status read_names(skive_context *ctx, const char *folder, const skv_cifar *l, skive_dataset *ds) {
    char *path = NULL, *text = NULL;
    void *bytes = NULL;
    size_t size = 0;
    int64_t n = 0;
    skive_status status;
    SKV_TRY(skv_asprintf(ctx, &path, "%s/%s", folder, l->names));
    if (!skv_path_exists(path)) {
        skv_note(ctx, "%s: is missing, so the classes have no names", path);
        skv_free(ctx, path);
        return SKIVE_OK;
    }
    SKV_GO(status, done, skv_file_read(ctx, path, 1 << 16, &bytes, &size));
    text = bytes; /* ends in a NUL */
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)l->classes, sizeof *ds->class_names, &ds->class_names));
    for (char *at = text; *at && n < l->classes;) {
        const size_t length = strcspn(at, "\r\n");
        if (length) SKV_GO(status, done, skv_strdup_n(ctx, at, length, &ds->class_names[n++]));
        at += length;
        at += strspn(at, "\r\n");
    }
    if (n < l->classes)
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: has %lld names of classes, not %lld", path, (long long)n,
                             (long long)l->classes);
done:
    skv_free(ctx, bytes);
    skv_free(ctx, path);
    return status;
}

/* The files of the part, with the records before each. */
typedef struct files {
    char *paths[SKV_CIFAR_FILES];
    size_t counts[SKV_CIFAR_FILES], n, total;
} files;

static skive_status list_files(skive_context *ctx, const char *folder, const skv_cifar *l, bool test, files *f) {
    for (size_t i = 0; i < (test ? 1 : SKV_CIFAR_FILES); i++) {
        const char *name = test ? l->test : l->train[i];
        if (!name) break;
        SKV_TRY(skv_asprintf(ctx, &f->paths[f->n++], "%s/%s", folder, name));
        SKV_TRY(count_records(ctx, f->paths[f->n - 1], l->labels + PIXELS, &f->counts[f->n - 1]));
        f->total += f->counts[f->n - 1];
    }
    return SKIVE_OK;
}

static skive_status read_file(skive_context *ctx, const skv_cifar *l, const files *f, size_t which, size_t first,
                              bool pixels, skive_dataset *ds) {
    enum { TOGETHER = 64 };
    const size_t record = l->labels + PIXELS;
    unsigned char *piece = NULL;
    skv_reader *r = NULL;
    skive_status status;
    SKV_GO(status, done, skv_reader_open(ctx, f->paths[which], &r));
    SKV_GO(status, done, skv_alloc(ctx, TOGETHER * record, &piece));
    for (size_t i = 0; i < f->counts[which]; i += TOGETHER) {
        const size_t n = f->counts[which] - i < TOGETHER ? f->counts[which] - i : TOGETHER;
        SKV_GO(status, done, skv_reader_at(r, (uint64_t)i * record, piece, n * record));
        for (size_t k = 0; k < n; k++) {
            ds->labels[first + i + k] = piece[k * record + l->label];
            if (pixels)
                memcpy((uint8_t *)ds->u8_block + (first + i + k) * PIXELS, piece + k * record + l->labels, PIXELS);
        }
    }
done:
    skv_free(ctx, piece);
    skv_reader_close(r);
    return status;
}

static skive_status read_files(skive_context *ctx, const char *folder, const skv_cifar *l, const files *f,
                               skive_dataset *ds) {
    const uint64_t bytes = (uint64_t)f->total * PIXELS;
    const bool disk = skv_disk_wanted(ctx, folder, skv_option_text(ds->values, "disk"), bytes, PIXELS);
    size_t first = 0;
    ds->total = f->total;
    ds->rank = 3;
    ds->dims[0] = 3;
    ds->dims[1] = ds->dims[2] = 32;
    ds->size = PIXELS;
    ds->channel_axis = 0;
    ds->dtype = SKIVE_U8;
    SKV_TRY(skv_alloc_array(ctx, f->total, sizeof *ds->labels, &ds->labels));
    if (disk) {
        SKV_TRY(skv_disk_create(ctx, SKIVE_U8, false, PIXELS, &ds->disk));
    } else {
        uint8_t *block = NULL;
        SKV_TRY(skv_alloc(ctx, (size_t)bytes, &block));
        ds->u8 = ds->u8_block = block;
    }
    for (size_t i = 0; i < f->n; i++) {
        if (disk) SKV_TRY(skv_disk_add(ds->disk, f->paths[i], l->labels, l->labels + PIXELS, f->counts[i]));
        SKV_TRY(read_file(ctx, l, f, i, first, !disk, ds));
        SKV_TRY(skv_labels_check_part(ctx, f->paths[i], l->classes, ds, first, f->counts[i]));
        first += f->counts[i];
    }
    return SKIVE_OK;
}

skive_status skv_cifar_open(skive_context *ctx, const char *dir, const skv_cifar *l, bool test, skive_dataset *ds) {
    char *folder = NULL;
    files f = {.n = 0};
    skive_status status;
    ds->separate_test = true;
    SKV_GO(status, done, find_folder(ctx, dir, l, &folder));
    SKV_GO(status, done, list_files(ctx, folder, l, test, &f));
    SKV_GO(status, done, read_files(ctx, folder, l, &f, ds));
    status = read_names(ctx, folder, l, ds);
done:
    for (size_t i = 0; i < f.n; i++) skv_free(ctx, f.paths[i]);
    skv_free(ctx, folder);
    return status;
}
