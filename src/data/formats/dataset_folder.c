/* folder: images in one sub-folder per class, or images alone, without labels. Only the list of files is kept; images
 * are decoded when they are read. */
#include "data/images/pictures.h"

static skive_status read_folder(skive_context *ctx, const skive_dataset *ds, size_t index, float *x) {
    return skv_pictures_read(ctx, ds->state, ds, index, x);
}

static skive_status open_folder(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                                skive_dataset *ds) {
    skv_pictures *f = NULL;
    (void)test;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *f, &f));
    ds->state = f;
    SKV_TRY(skv_folder_files_find(ctx, &skv_image_files, args, options, &f->of, ds));
    if (options->skip_bad) SKV_TRY(skv_folder_skip_bad(ctx, &skv_image_files, &f->of, skv_picture_check, NULL, ds));
    SKV_TRY(skv_pictures_shape(ctx, f, ds));
    skv_folder_files_name(&f->of, ds);
    return SKIVE_OK;
}

static void close_folder(skive_dataset *ds) {
    skv_pictures *f = ds->state;
    if (!f) return;
    skv_folder_files_free(ds->ctx, &f->of);
    skv_free(ds->ctx, f);
}

const skv_dataset_kind skv_dataset_folder = {
    .name = "folder",
    .syntax = "folder:DIR",
    .brief = "PNG, JPEG or BMP files, one sub-folder per class, in DIR or in DIR/train, DIR/val and DIR/test",
    .needs_args = true,
    .open = open_folder,
    .read = read_folder,
    .close = close_folder,
};
