/* Folders of samples in files: their contents, their classes, and what of it is skipped. */
#ifndef SKV_FOLDER_H
#define SKV_FOLDER_H

#include "data/data.h"

typedef struct skv_name_list {
    char **names;
    size_t count, capacity;
} skv_name_list;
void skv_name_list_free(skive_context *ctx, skv_name_list *list);
int skv_by_name(const void *a, const void *b); /* for qsort and bsearch over char * */

/* The files that are samples. */
typedef struct skv_file_kind {
    const char *const *extensions; /* in lower case, up to a NULL */
    const char *formats;           /* "PNG, JPEG or BMP" */
    const char *one, *many;        /* "image", "images" */
} skv_file_kind;
extern const skv_file_kind skv_image_files;

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

/* Adds, sorted by name, the files of a kind in `path` to `files` and its folders to `folders`, each as "prefix/name"
 * or, with prefix NULL, as "name". If `folders` is NULL, they are counted in `left` like everything else; `left` NULL:
 * not counted. Hidden files and files of systems (Thumbs.db) are ignored. */
skive_status skv_folder_list(skive_context *ctx, const skv_file_kind *kind, const char *path, const char *prefix,
                             skv_name_list *files, skv_name_list *folders, skv_left_out *left);

/* The folder with the samples of a split. */
typedef struct skv_folder_parts {
    char *root;          /* the class folders of the split, or its images */
    char *class_root;    /* the class folders that name and number the classes: those of the training part */
    bool has_parts;      /* there are folders train, val, test */
    bool has_validation; /* the validation samples have a folder of their own */
} skv_folder_parts;
/* Notes report which folder is used as the validation part, and what is skipped beside the parts. Errors: DATA (no such
 * folder, no such part). */
skive_status skv_folder_parts_find(skive_context *ctx, const skv_file_kind *kind, const char *dir, skive_split split,
                                   skv_folder_parts *out);
void skv_folder_parts_free(skive_context *ctx, skv_folder_parts *parts);

/* The one path that a kind takes; "\\," in `args` is a comma. Errors: ARGUMENT (more than one). */
skive_status skv_folder_path(skive_context *ctx, const skv_dataset_kind *kind, const char *args, char **out);

/* The files of a split and their classes. */
typedef struct skv_folder_files {
    skv_folder_parts parts;
    skv_name_list files;   /* "class/file.png", sorted by class and name */
    skv_name_list classes; /* names, sorted; none: the samples have no labels */
} skv_folder_files;
/* Folders are classes; files without any are samples without labels. Sets labels, total and whether the parts are
 * separate of `ds`. Notes report what is skipped. Errors: DATA (no samples, other classes than the training part or
 * than the options say). The caller frees *out, also after a failure. */
skive_status skv_folder_files_find(skive_context *ctx, const skv_file_kind *kind, const char *dir,
                                   const skive_dataset_options *options, skv_folder_files *out, skive_dataset *ds);
/* Moves the class names to `ds`. */
void skv_folder_files_name(skv_folder_files *f, skive_dataset *ds);
void skv_folder_files_free(skive_context *ctx, skv_folder_files *f);
/* The files of the training part, which determine what all parts have in common. *out is freed by the caller. */
skive_status skv_folder_training(skive_context *ctx, const skv_file_kind *kind, const skv_folder_files *f,
                                 skv_name_list *out);

/* ---- files that cannot be read ---- */

/* Adds to the message of a failure by a file that --skip-bad would pass over it; returns `status`. */
skive_status skv_folder_bad(skive_context *ctx, skive_status status);
/* Calls `check`, which decodes all of a file, for every file and removes those that it refuses, with their labels. A
 * note counts them and names the first with the reason. Errors: DATA (none is left), MEMORY, INTERRUPTED. */
typedef skive_status (*skv_file_check)(skive_context *ctx, const char *path, void *arg);
skive_status skv_folder_skip_bad(skive_context *ctx, const skv_file_kind *kind, skv_folder_files *f,
                                 skv_file_check check, void *arg, skive_dataset *ds);

#endif
