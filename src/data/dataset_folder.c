/* folder: PNG and JPEG files in one sub-folder a class. Only the list of files is kept; images are decoded when they
 * are read. The first image decides the size and whether the set is grey or RGB. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/data.h"

enum { FILE_LIMIT = 256 << 20 };

typedef struct name_list {
    char **names;
    size_t count, capacity;
} name_list;

typedef struct folder {
    char *root;
    name_list files; /* "class/file.png", sorted by class and name; [total] */
    int64_t resize_h, resize_w;
} folder;

static void names_free(skive_context *ctx, name_list *list) {
    for (size_t i = 0; i < list->count; i++) skv_free(ctx, list->names[i]);
    skv_free(ctx, list->names);
    *list = (name_list){0};
}

static skive_status names_add(skive_context *ctx, name_list *list, const char *prefix, const char *name) {
    if (list->count == list->capacity) {
        size_t more = list->capacity ? list->capacity * 2 : 32;
        SKV_TRY(skv_grow(ctx, &list->names, list->count, more, sizeof *list->names));
        list->capacity = more;
    }
    if (prefix)
        SKV_TRY(skv_asprintf(ctx, &list->names[list->count], "%s/%s", prefix, name));
    else
        SKV_TRY(skv_strdup(ctx, name, &list->names[list->count]));
    list->count++;
    return SKIVE_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool is_image_name(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
}

/* Adds, sorted, the sub-folders of `path` (prefix NULL) or its image files as "prefix/file". Hidden ones are passed
 * over. */
static skive_status list_folder(skive_context *ctx, const char *path, const char *prefix, name_list *list) {
    DIR *dir = opendir(path);
    if (!dir) {
        return skv_fail_at(ctx, errno == ENOMEM ? SKIVE_ERR_MEMORY : SKIVE_ERR_DATA, path,
                           "%s: cannot be read as a folder of images", path);
    }
    skive_status status = SKIVE_OK;
    size_t first = list->count;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno) status = skv_fail_errno(ctx, path, "read", errno);
            break;
        }
        const char *name = entry->d_name;
        if (name[0] == '.') continue;
        if (prefix) {
            if (is_image_name(name)) SKV_GO(status, done, names_add(ctx, list, prefix, name));
            continue;
        }
        char *full = NULL;
        SKV_GO(status, done, skv_asprintf(ctx, &full, "%s/%s", path, name));
        bool is_folder = skv_path_is_folder(full);
        skv_free(ctx, full);
        if (is_folder) SKV_GO(status, done, names_add(ctx, list, NULL, name));
    }
    if (status == SKIVE_OK && list->count > first) {
        qsort(list->names + first, list->count - first, sizeof *list->names, by_name);
    }
done:
    (void)closedir(dir);
    return status;
}

/* Lists the images of class `name`, numbered `label`, and records their labels. */
static skive_status add_class(skive_context *ctx, folder *f, const char *name, int32_t label, skive_dataset *ds) {
    char *path = NULL;
    size_t before = f->files.count;
    SKV_TRY(skv_asprintf(ctx, &path, "%s/%s", f->root, name));
    skive_status status;
    SKV_GO(status, done, list_folder(ctx, path, name, &f->files));
    size_t after = f->files.count;
    if (after == before) {
        skv_note(ctx, "%s: the class has no PNG or JPEG file", path);
        goto done;
    }
    SKV_GO(status, done, skv_grow(ctx, &ds->labels, before, after, sizeof *ds->labels));
    for (size_t i = before; i < after; i++) ds->labels[i] = label;
done:
    skv_free(ctx, path);
    return status;
}

static skive_status decode(skive_context *ctx, const folder *f, size_t index, int channels, char **out_path,
                           skv_image *out) {
    void *bytes = NULL;
    size_t n = 0;
    SKV_TRY(skv_asprintf(ctx, out_path, "%s/%s", f->root, f->files.names[index]));
    SKV_TRY(skv_file_read(ctx, *out_path, FILE_LIMIT, &bytes, &n));
    skive_status status = skv_image_decode(ctx, bytes, n, *out_path, channels, out);
    skv_free(ctx, bytes);
    return status;
}

/* [h][w][c] bytes to [c][h][w] floats in 0..1. */
static void unpack(const uint8_t *pixels, size_t channels, size_t plane, float *x) {
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < plane; i++) x[c * plane + i] = (float)pixels[i * channels + c] * (1.0f / 255.0f);
    }
}

static skive_status read_folder(skive_context *ctx, const skive_dataset *ds, size_t index, float *x) {
    const folder *f = ds->state;
    int channels = (int)ds->dims[0];
    size_t plane = (size_t)(ds->dims[1] * ds->dims[2]);
    skv_image image = {0};
    skv_resizer *resizer = NULL;
    uint8_t *scaled = NULL;
    char *path = NULL;
    skive_status status;
    SKV_GO(status, done, decode(ctx, f, index, channels, &path, &image));
    if (image.height == ds->dims[1] && image.width == ds->dims[2]) {
        unpack(image.pixels, (size_t)channels, plane, x);
        goto done;
    }
    if (!f->resize_h) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                             "%s: is %dx%d pixels but the first image is %dx%d; give a size to scale all images to "
                             "(resize)",
                             path, image.width, image.height, (int)ds->dims[2], (int)ds->dims[1]);
        goto done;
    }
    SKV_GO(status, done, skv_alloc(ctx, plane * (size_t)channels, &scaled));
    SKV_GO(status, done,
           skv_resizer_create(ctx, image.height, image.width, ds->dims[1], ds->dims[2], channels, &resizer));
    skv_resizer_run(resizer, image.pixels, scaled);
    unpack(scaled, (size_t)channels, plane, x);
done:
    skv_resizer_free(resizer);
    skv_free(ctx, scaled);
    skv_free(ctx, image.pixels);
    skv_free(ctx, path);
    return status;
}

/* The folder with the class folders of this part, and where the classes' names and numbers come from: the training
 * part, so that both parts number them alike. */
static skive_status choose_roots(skive_context *ctx, const char *dir, bool test, char **root, char **classes,
                                 bool *separate) {
    char *train_dir = NULL, *test_dir = NULL;
    skive_status status;
    if (!skv_path_is_folder(dir)) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, dir, "%s: there is no such folder", dir);
    }
    SKV_GO(status, done, skv_asprintf(ctx, &train_dir, "%s/train", dir));
    SKV_GO(status, done, skv_asprintf(ctx, &test_dir, "%s/test", dir));
    *separate = skv_path_is_folder(train_dir);
    if (!*separate) {
        SKV_GO(status, done, skv_strdup(ctx, dir, root));
        status = skv_strdup(ctx, dir, classes);
        goto done;
    }
    if (test && !skv_path_is_folder(test_dir)) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, dir, "%s: has train/ but no test/, so there is no test split", dir);
        goto done;
    }
    SKV_GO(status, done, skv_strdup(ctx, train_dir, classes));
    status = skv_strdup(ctx, test ? test_dir : train_dir, root);
done:
    skv_free(ctx, train_dir);
    skv_free(ctx, test_dir);
    return status;
}

/* Every class folder of a test part must be a class of the training part. */
static skive_status check_classes(skive_context *ctx, const folder *f, const name_list *classes) {
    name_list own = {0};
    skive_status status;
    SKV_GO(status, done, list_folder(ctx, f->root, NULL, &own));
    for (size_t i = 0; i < own.count; i++) {
        if (bsearch(&own.names[i], classes->names, classes->count, sizeof *classes->names, by_name)) continue;
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, f->root, "%s: the class '%s' is not among the training classes",
                             f->root, own.names[i]);
        goto done;
    }
done:
    names_free(ctx, &own);
    return status;
}

/* The first image of the training part decides the shape of both parts. */
static skive_status find_shape(skive_context *ctx, char *class_root, const name_list *classes, skive_dataset *ds) {
    folder *f = ds->state;
    folder probe = {.root = class_root};
    skv_image image = {0};
    char *path = NULL;
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < classes->count && probe.files.count == 0; i++) {
        char *class_path = NULL;
        SKV_GO(status, done, skv_asprintf(ctx, &class_path, "%s/%s", class_root, classes->names[i]));
        status = list_folder(ctx, class_path, classes->names[i], &probe.files);
        skv_free(ctx, class_path);
        if (status != SKIVE_OK) goto done;
    }
    if (probe.files.count == 0) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, class_root, "%s: there is no PNG or JPEG file in its class folders",
                             class_root);
        goto done;
    }
    SKV_GO(status, done, decode(ctx, &probe, 0, 0, &path, &image));
    ds->rank = 3;
    ds->dims[0] = image.channels;
    ds->dims[1] = f->resize_h ? f->resize_h : image.height;
    ds->dims[2] = f->resize_w ? f->resize_w : image.width;
    ds->size = (size_t)(ds->dims[0] * ds->dims[1] * ds->dims[2]); /* both sides are bounded */
done:
    names_free(ctx, &probe.files);
    skv_free(ctx, image.pixels);
    skv_free(ctx, path);
    return status;
}

static skive_status open_folder(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                                skive_dataset *ds) {
    folder *f = NULL;
    char *class_root = NULL;
    name_list classes = {0};
    skive_status status;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *f, &f));
    ds->state = f;
    SKV_GO(status, done, choose_roots(ctx, args, test, &f->root, &class_root, &ds->separate_test));
    SKV_GO(status, done, list_folder(ctx, class_root, NULL, &classes));
    if (classes.count == 0 || classes.count > SKV_MAX_CLASSES) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, class_root,
                             "%s: has %zu sub-folders; there must be one for each class with its images in it",
                             class_root, classes.count);
        goto done;
    }
    if (options->classes && (size_t)options->classes != classes.count) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, class_root, "%s: has %zu class folders, not %lld", class_root,
                             classes.count, (long long)options->classes);
        goto done;
    }
    if (strcmp(class_root, f->root) != 0) SKV_GO(status, done, check_classes(ctx, f, &classes));
    for (size_t i = 0; i < classes.count; i++) {
        char *class_path = NULL;
        SKV_GO(status, done, skv_asprintf(ctx, &class_path, "%s/%s", f->root, classes.names[i]));
        bool there = skv_path_is_folder(class_path);
        skv_free(ctx, class_path);
        if (there) SKV_GO(status, done, add_class(ctx, f, classes.names[i], (int32_t)i, ds));
    }
    ds->total = f->files.count;
    if (ds->total == 0) {
        status =
            skv_fail_at(ctx, SKIVE_ERR_DATA, f->root, "%s: there is no PNG or JPEG file in its class folders", f->root);
        goto done;
    }
    f->resize_h = options->resize_h;
    f->resize_w = options->resize_w;
    SKV_GO(status, done, find_shape(ctx, class_root, &classes, ds));
    ds->classes = (int64_t)classes.count;
    /* The list may be longer than its count; the names move as they are. */
    ds->class_names = classes.names;
    classes = (name_list){0};
done:
    names_free(ctx, &classes);
    skv_free(ctx, class_root);
    return status;
}

static void close_folder(skive_dataset *ds) {
    folder *f = ds->state;
    if (!f) return;
    names_free(ds->ctx, &f->files);
    skv_free(ds->ctx, f->root);
    skv_free(ds->ctx, f);
}

const skv_dataset_kind skv_dataset_folder = {
    .name = "folder",
    .syntax = "folder:DIR",
    .brief = "PNG or JPEG files, one sub-folder a class, in DIR or in DIR/train and DIR/test",
    .needs_args = true,
    .open = open_folder,
    .read = read_folder,
    .close = close_folder,
};
