/* Data sets for segmentation: images with masks that give each pixel a class. */
#ifndef SKV_SEGMENT_H
#define SKV_SEGMENT_H

#include "data/images/pictures.h"

enum { SKV_SEGMENT_MOST_COLOURS = 256, SKV_SEGMENT_MOST_CLASSES = 65536 };

/* What the values of masks mean. */
typedef struct skv_palette {
    bool colour;     /* masks are in colours, not class numbers */
    bool has_ignore; /* `ignore` is a value (or 0xrrggbb) of no class */
    uint32_t ignore;
    int64_t classes;
    uint32_t *colours; /* [classes] of masks in colours, in the order of the classes; NULL */
    char **names;      /* [classes], or NULL */
} skv_palette;

/* Reads the masks of the training part, of these images, and the file of names, which may not exist. Notes tell the
 * colours and the share of ignored pixels. Errors: DATA, ARGUMENT. */
skive_status skv_palette_find(skive_context *ctx, const char *masks, const skv_name_list *files, const char *names_file,
                              const skv_option_values *values, const skive_dataset_options *options, skv_palette *out);
void skv_palette_free(skive_context *ctx, skv_palette *p);
/* The class of a value; -1: none. -2: there is no such class. */
int64_t skv_palette_class(const skv_palette *p, uint32_t value);

/* "MASKS/NAME.png" for an image "NAME.jpg". */
skive_status skv_mask_path(skive_context *ctx, const char *masks, const char *image, char **out);

#endif
