/* Images in files of one folder or of class folders, brought to one size. */
#ifndef SKV_PICTURES_H
#define SKV_PICTURES_H

#include "data/formats/folder.h"

typedef struct skv_pictures {
    skv_folder_files of;
    skive_dataset_options scaled; /* resize and crop, including derived settings */
} skv_pictures;

/* Reads all headers and decides size and channels from the options, the model and the training part; fills in the
 * shape of `ds` and its derived options. Notes report conversions. Errors: DATA (sizes differ, a file that is no
 * image). */
skive_status skv_pictures_shape(skive_context *ctx, skv_pictures *f, skive_dataset *ds);
/* Image `index` as [c][h][w]. */
skive_status skv_pictures_read(skive_context *ctx, const skv_pictures *f, const skive_dataset *ds, size_t index,
                               float *x);
/* Decodes all of an image, as skv_file_check. */
skive_status skv_picture_check(skive_context *ctx, const char *path, void *unused);

#endif
