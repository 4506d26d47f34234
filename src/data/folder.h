/* Folders of images: their contents, and what of it is skipped. */
#ifndef SKV_FOLDER_H
#define SKV_FOLDER_H

#include "data/data.h"

typedef struct skv_name_list {
    char **names;
    size_t count, capacity;
} skv_name_list;
void skv_name_list_free(skive_context *ctx, skv_name_list *list);
int skv_by_name(const void *a, const void *b); /* for qsort and bsearch over char * */

enum { SKV_LEFT_KINDS = 6 };

/* Counts of what is skipped; with the name of the first of each kind. */
typedef struct skv_left_out {
    size_t others, folders, inner,
        broken; /* files of other types; folders inside class folders, files in them; entries that are not files */
    char *first_other, *first_folder, *first_broken;
    struct {
        char name[12]; /* ".webp", "" for none */
        size_t count;
    } kinds[SKV_LEFT_KINDS];
} skv_left_out;
void skv_left_out_free(skive_context *ctx, skv_left_out *left);
/* One note about all of it, if there is any. `where`: the folder that contains them. */
void skv_left_out_tell(skive_context *ctx, const char *where, const skv_left_out *left);

/* Adds, sorted by name, the image files of `path` to `files` and its folders to `folders`, each as "prefix/name" or,
 * with prefix NULL, as "name". If `folders` is NULL, they are counted in `left` like everything else; `left` NULL: not
 * counted. Hidden files and files of systems (Thumbs.db) are ignored. */
skive_status skv_folder_list(skive_context *ctx, const char *path, const char *prefix, skv_name_list *files,
                             skv_name_list *folders, skv_left_out *left);

/* The folder with the samples of a split. */
typedef struct skv_folder_parts {
    char *root;          /* the class folders of the split, or its images */
    char *class_root;    /* the class folders that name and number the classes: those of the training part */
    bool has_parts;      /* there are folders train, val, test */
    bool has_validation; /* the validation samples have a folder of their own */
} skv_folder_parts;
/* Notes report which folder is used as the validation part, and what is skipped beside the parts. Errors: DATA (no such
 * folder, no such part). */
skive_status skv_folder_parts_find(skive_context *ctx, const char *dir, skive_split split, skv_folder_parts *out);
void skv_folder_parts_free(skive_context *ctx, skv_folder_parts *parts);

#endif
