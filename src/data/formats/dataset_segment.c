/* segment: images in images/ and for each a PNG mask of the same name in masks/, which holds the class of each pixel.
 * Images are read as `folder` reads them; masks are resized to them by the nearest pixel. Both stay on disk and are
 * decoded when they are read. */
#include <stdio.h>
#include <string.h>

#include "data/formats/segment.h"

typedef struct segment {
    skv_pictures images;
    char *masks; /* folder of the part */
    skv_palette palette;
} segment;

static const char *const mask_extensions[] = {".png", NULL};
static const skv_file_kind mask_files = {
    .extensions = mask_extensions, .formats = "PNG", .one = "mask", .many = "masks"};

/* ---- reading ---- */

static skive_status read_segment(skive_context *ctx, const skive_dataset *ds, size_t index, float *x) {
    const segment *s = ds->state;
    return skv_pictures_read(ctx, &s->images, ds, index, x);
}

static skive_status no_class(skive_context *ctx, const segment *s, const char *path, const skv_mask *m, size_t at) {
    char value[16];
    (void)snprintf(value, sizeof value, m->colour ? "#%06x" : "%u", m->values[at]);
    return skv_fail_at(
        ctx, SKIVE_ERR_DATA, path,
        "%s: row %zu, column %zu has the value %s, which is none of the %lld classes (ignore=VALUE names "
        "one of no class)",
        path, at / (size_t)m->width, at % (size_t)m->width, value, (long long)s->palette.classes);
}

/* The mask, cut and resized as its image is. */
static skive_status map_labels(skive_context *ctx, const segment *s, const skive_dataset *ds, const char *path,
                               const skv_mask *m, int64_t *labels) {
    const int64_t height = ds->label_dims[0], width = ds->label_dims[1];
    int64_t h, w;
    uint32_t before = 0;
    int64_t class = -1;
    bool known = false;
    skv_scaled_size(&s->images.scaled, m->height, m->width, &h, &w);
    const int64_t top = skv_crop_start(h, height), left = skv_crop_start(w, width);
    for (int64_t y = 0; y < height; y++) {
        const int64_t row = ((2 * (top + y) + 1) * m->height) / (2 * h);
        for (int64_t x = 0; x < width; x++) {
            const size_t at = (size_t)(row * m->width + ((2 * (left + x) + 1) * m->width) / (2 * w));
            if (!known || m->values[at] != before) {
                before = m->values[at];
                known = true;
                class = skv_palette_class(&s->palette, before);
                if (class == -2) return no_class(ctx, s, path, m, at);
            }
            *labels++ = class;
        }
    }
    return SKIVE_OK;
}

static skive_status read_labels(skive_context *ctx, const skive_dataset *ds, size_t index, int64_t *labels) {
    const segment *s = ds->state;
    skv_mask mask = {0};
    char *path = NULL;
    skive_status status;
    SKV_TRY(skv_mask_path(ctx, s->masks, s->images.of.files.names[index], &path));
    SKV_GO(status, done, skv_folder_bad(ctx, skv_mask_read(ctx, path, &mask)));
    if (mask.colour != s->palette.colour)
        status =
            skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: this mask is in %s, but those of the training part are in %s",
                        path, mask.colour ? "colours" : "class numbers", mask.colour ? "class numbers" : "colours");
    else
        status = map_labels(ctx, s, ds, path, &mask, labels);
done:
    skv_free(ctx, mask.values);
    skv_free(ctx, path);
    return status;
}

/* ---- images and masks belong together ---- */

static skive_status same_size(skive_context *ctx, const char *image, const char *mask) {
    skv_image_head a, b;
    SKV_TRY(skv_image_head_read(ctx, image, &a));
    SKV_TRY(skv_image_head_read(ctx, mask, &b));
    if (a.width == b.width && a.height == b.height) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, mask,
                       "%s: the mask has %llux%llu pixels (height x width), but its image %s has %llux%llu", mask,
                       (unsigned long long)b.height, (unsigned long long)b.width, image, (unsigned long long)a.height,
                       (unsigned long long)a.width);
}

static skive_status check_pair(skive_context *ctx, const char *image, const char *mask) {
    if (skv_path_exists(mask)) return same_size(ctx, image, mask);
    return skv_fail_at(ctx, SKIVE_ERR_DATA, image, "%s: there is no mask %s for this image", image, mask);
}

/* Decodes an image and its mask. */
static skive_status check(skive_context *ctx, const char *path, void *arg) {
    const segment *s = arg;
    skv_mask mask = {0};
    char *mask_path = NULL;
    skive_status status;
    SKV_TRY(skv_mask_path(ctx, s->masks, path, &mask_path));
    SKV_GO(status, done, check_pair(ctx, path, mask_path));
    SKV_GO(status, done, skv_picture_check(ctx, path, NULL));
    status = skv_mask_read(ctx, mask_path, &mask);
done:
    skv_free(ctx, mask.values);
    skv_free(ctx, mask_path);
    return status;
}

static skive_status check_pairs(skive_context *ctx, const segment *s) {
    const skv_name_list *files = &s->images.of.files;
    skive_status status = SKIVE_OK;
    for (size_t i = 0; status == SKIVE_OK && i < files->count; i++) {
        char *image = NULL, *mask = NULL;
        status = skv_asprintf(ctx, &image, "%s/%s", s->images.of.parts.root, files->names[i]);
        if (status == SKIVE_OK) status = skv_mask_path(ctx, s->masks, files->names[i], &mask);
        if (status == SKIVE_OK) status = skv_folder_bad(ctx, check_pair(ctx, image, mask));
        skv_free(ctx, image);
        skv_free(ctx, mask);
    }
    return status;
}

/* Masks without an image are not samples. */
static skive_status tell_masks(skive_context *ctx, const segment *s) {
    skv_name_list masks = {0};
    skv_left_out left = {0};
    const skv_name_list *files = &s->images.of.files;
    size_t extra = 0, first = 0;
    skive_status status = skv_folder_list(ctx, &mask_files, s->masks, NULL, &masks, NULL, &left);
    for (size_t i = 0; status == SKIVE_OK && i < masks.count; i++) {
        const size_t stem = strlen(masks.names[i]) - 4;
        bool found = false;
        for (size_t low = 0, high = files->count; low < high && !found;) { /* the first name not before the stem */
            const size_t middle = low + (high - low) / 2;
            const int order = strncmp(files->names[middle], masks.names[i], stem);
            found = order == 0 && files->names[middle][stem] == '.';
            if (order < 0 || (order == 0 && files->names[middle][stem] < '.'))
                low = middle + 1;
            else
                high = middle;
        }
        if (!found && extra++ == 0) first = i;
    }
    if (status == SKIVE_OK && extra)
        skv_note(ctx, "%s: skipped: %zu mask%s without an image (the first is %s)", s->masks, extra,
                 extra == 1 ? "" : "s", masks.names[first]);
    if (status == SKIVE_OK) skv_left_out_tell(ctx, s->masks, &left);
    skv_left_out_free(ctx, &left);
    skv_name_list_free(ctx, &masks);
    return status;
}

/* ---- opening ---- */

/* root/images and root/masks; `parts` becomes that of the images. */
static skive_status find_folders(skive_context *ctx, segment *s, char **training_masks) {
    skv_folder_parts *parts = &s->images.of.parts;
    char *root = parts->root, *class_root = parts->class_root;
    parts->root = parts->class_root = NULL;
    skive_status status;
    SKV_GO(status, done, skv_asprintf(ctx, &parts->root, "%s/images", root));
    SKV_GO(status, done, skv_asprintf(ctx, &parts->class_root, "%s/images", class_root));
    SKV_GO(status, done, skv_asprintf(ctx, &s->masks, "%s/masks", root));
    SKV_GO(status, done, skv_asprintf(ctx, training_masks, "%s/masks", class_root));
    if (!skv_path_is_folder(parts->root) || !skv_path_is_folder(s->masks) || !skv_path_is_folder(parts->class_root) ||
        !skv_path_is_folder(*training_masks))
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, root, "%s: has no folders images/ and masks/", root);
done:
    skv_free(ctx, root);
    skv_free(ctx, class_root);
    return status;
}

static skive_status list_images(skive_context *ctx, segment *s, skive_dataset *ds) {
    skv_left_out left = {0};
    skv_name_list *files = &s->images.of.files;
    const char *root = s->images.of.parts.root;
    const skive_status status = skv_folder_list(ctx, &skv_image_files, root, NULL, files, NULL, &left);
    if (status == SKIVE_OK) skv_left_out_tell(ctx, root, &left);
    skv_left_out_free(ctx, &left);
    ds->total = files->count;
    if (status != SKIVE_OK || files->count) return status;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, root, "%s: there is no PNG, JPEG or BMP file in this folder", root);
}

static skive_status take_labels(skive_context *ctx, const char *dir, const char *training_masks,
                                const skive_dataset_options *options, skive_dataset *ds) {
    segment *s = ds->state;
    skv_name_list training = {0};
    char *names = NULL;
    skive_status status;
    SKV_GO(status, done, skv_asprintf(ctx, &names, "%s/classes.txt", dir));
    SKV_GO(status, done, skv_folder_training(ctx, &skv_image_files, &s->images.of, &training));
    SKV_GO(status, done, skv_palette_find(ctx, training_masks, &training, names, ds->values, options, &s->palette));
    ds->classes = s->palette.classes;
    if (s->palette.names) {
        ds->class_names = s->palette.names;
        s->palette.names = NULL;
    }
    ds->label_rank = 2;
    ds->label_dims[0] = ds->dims[1];
    ds->label_dims[1] = ds->dims[2];
    ds->label_size = (size_t)(ds->dims[1] * ds->dims[2]);
done:
    skv_free(ctx, names);
    skv_name_list_free(ctx, &training);
    return status;
}

static skive_status open_segment(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                                 skive_dataset *ds) {
    segment *s = NULL;
    char *dir = NULL, *training_masks = NULL;
    skive_status status;
    (void)test;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *s, &s));
    ds->state = s;
    SKV_GO(status, done, skv_folder_path(ctx, ds->kind, args, &dir));
    SKV_GO(status, done, skv_folder_parts_find(ctx, &skv_image_files, dir, options->split, &s->images.of.parts));
    ds->separate_test = s->images.of.parts.has_parts;
    ds->separate_validation = s->images.of.parts.has_validation;
    SKV_GO(status, done, find_folders(ctx, s, &training_masks));
    SKV_GO(status, done, list_images(ctx, s, ds));
    if (options->skip_bad)
        SKV_GO(status, done, skv_folder_skip_bad(ctx, &skv_image_files, &s->images.of, check, s, ds));
    else if (options->targets != SKIVE_TARGETS_NONE)
        SKV_GO(status, done, check_pairs(ctx, s));
    SKV_GO(status, done, tell_masks(ctx, s));
    SKV_GO(status, done, skv_pictures_shape(ctx, &s->images, ds));
    if (options->targets != SKIVE_TARGETS_NONE)
        SKV_GO(status, done, take_labels(ctx, dir, training_masks, options, ds));
done:
    skv_free(ctx, dir);
    skv_free(ctx, training_masks);
    return status;
}

static void close_segment(skive_dataset *ds) {
    segment *s = ds->state;
    if (!s) return;
    skv_palette_free(ds->ctx, &s->palette);
    skv_folder_files_free(ds->ctx, &s->images.of);
    skv_free(ds->ctx, s->masks);
    skv_free(ds->ctx, s);
}

static const skv_option options[] = {
    {.name = "ignore",
     .type = SKV_OPTION_TEXT,
     .text = "255",
     .brief = "value or colour of pixels that are of no class, or none; of masks in colours the default is none"},
};

const skv_dataset_kind skv_dataset_segment = {
    .name = "segment",
    .syntax = "segment:DIR[,ignore=VALUE]",
    .brief = "images in DIR/images with PNG masks of the same names in DIR/masks, a class for each pixel; or in parts "
             "DIR/train, DIR/val and DIR/test",
    SKV_OPTIONS(options),
    .needs_args = true,
    .open = open_segment,
    .read = read_segment,
    .read_labels = read_labels,
    .close = close_segment,
};
