/* The samples of a folder with one sub-folder per class, and their labels. */
#include <stdlib.h>
#include <string.h>

#include "data/formats/folder.h"

skive_status skv_folder_path(skive_context *ctx, const skv_dataset_kind *kind, const char *args, char **out) {
    SKV_TRY(skv_strdup(ctx, args, out));
    char *to = *out;
    for (const char *c = args; *c; c++) {
        if (*c == '\\' && (c[1] == ',' || c[1] == '\\'))
            c++;
        else if (*c == ',')
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "data",
                               "data set '%s:%s': expected %s (write a comma in a file name as \\,)", kind->name, args,
                               kind->syntax);
        *to++ = *c;
    }
    *to = '\0';
    return SKIVE_OK;
}

/* Lists the files of class `name`, numbered `label`, and records their labels. */
static skive_status add_class(skive_context *ctx, const skv_file_kind *kind, skv_folder_files *f, const char *name,
                              int32_t label, skv_left_out *left, skive_dataset *ds) {
    char *path = NULL;
    const size_t before = f->files.count;
    skive_status status;
    SKV_TRY(skv_asprintf(ctx, &path, "%s/%s", f->parts.root, name));
    if (!skv_path_is_folder(path)) { /* a part may lack classes */
        skv_free(ctx, path);
        return SKIVE_OK;
    }
    SKV_GO(status, done, skv_folder_list(ctx, kind, path, name, &f->files, NULL, left));
    const size_t after = f->files.count;
    if (after == before) {
        skv_note(ctx, "%s: this class has no %s", path, kind->many);
        goto done;
    }
    SKV_GO(status, done, skv_grow(ctx, &ds->labels, before, after, sizeof *ds->labels));
    for (size_t i = before; i < after; i++) ds->labels[i] = label;
done:
    skv_free(ctx, path);
    return status;
}

/* Every class folder of another part must be a class of the training part. */
static skive_status check_classes(skive_context *ctx, const skv_file_kind *kind, const skv_folder_files *f,
                                  const skv_name_list *classes) {
    skv_name_list own = {0};
    skive_status status = skv_folder_list(ctx, kind, f->parts.root, NULL, NULL, &own, NULL);
    for (size_t i = 0; status == SKIVE_OK && i < own.count; i++) {
        if (bsearch(&own.names[i], classes->names, classes->count, sizeof *classes->names, skv_by_name)) continue;
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, f->parts.root, "%s: the class '%s' is not among the training classes",
                             f->parts.root, own.names[i]);
    }
    skv_name_list_free(ctx, &own);
    return status;
}

static skive_status nothing_there(skive_context *ctx, const skv_file_kind *kind, const skv_folder_files *f,
                                  const skv_left_out *left) {
    if (left->inner)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, f->parts.root,
                           "%s: there is no %s file in its class folders; %zu file%s one level deeper, "
                           "such as in %s: name the folder that contains the class folders",
                           f->parts.root, kind->formats, left->inner, left->inner == 1 ? " is" : "s are",
                           left->first_folder);
    if (left->others)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, f->parts.root,
                           "%s: there is no %s file in its class folders, only files such as %s", f->parts.root,
                           kind->formats, left->first_other);
    return skv_fail_at(ctx, SKIVE_ERR_DATA, f->parts.root, "%s: there is no %s file in its class folders",
                       f->parts.root, kind->formats);
}

static skive_status list_classes(skive_context *ctx, const skv_file_kind *kind, const skive_dataset_options *o,
                                 skv_folder_files *f, skv_left_out *left, skive_dataset *ds) {
    const skv_name_list *classes = &f->classes;
    if (classes->count > SKV_MAX_CLASSES || (o->classes && (size_t)o->classes != classes->count)) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, f->parts.class_root, "%s: has %zu class folders, not %lld",
                           f->parts.class_root, classes->count, (long long)(o->classes ? o->classes : SKV_MAX_CLASSES));
    }
    if (strcmp(f->parts.class_root, f->parts.root) != 0) SKV_TRY(check_classes(ctx, kind, f, classes));
    for (size_t i = 0; i < classes->count; i++)
        SKV_TRY(add_class(ctx, kind, f, classes->names[i], (int32_t)i, left, ds));
    return f->files.count ? SKIVE_OK : nothing_there(ctx, kind, f, left);
}

static skive_status list_all(skive_context *ctx, const skv_file_kind *kind, const skive_dataset_options *o,
                             skv_folder_files *f, skv_left_out *left, skive_dataset *ds) {
    skv_name_list *classes = &f->classes;
    skv_name_list direct = {0}, inner = {0};
    skive_status status;
    SKV_GO(status, done, skv_folder_list(ctx, kind, f->parts.class_root, NULL, NULL, classes, NULL));
    SKV_GO(status, done, skv_folder_list(ctx, kind, f->parts.root, NULL, &direct, &inner, left));
    if (classes->count) {
        if (direct.count)
            skv_note(ctx, "%s: skipped: %zu %s beside the class folders (the first is %s)", f->parts.root, direct.count,
                     direct.count == 1 ? kind->one : kind->many, direct.names[0]);
        status = list_classes(ctx, kind, o, f, left, ds);
    } else if (direct.count) {
        f->files = direct;
        direct = (skv_name_list){0};
        if (o->targets != SKIVE_TARGETS_NONE)
            skv_note(ctx, "%s: has no class folders, so its %zu %s have no labels", f->parts.root, f->files.count,
                     kind->many);
    } else {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, f->parts.root,
                             "%s: has no sub-folders and no %s file; it needs one sub-folder per class with its %s",
                             f->parts.root, kind->formats, kind->many);
    }
done:
    skv_name_list_free(ctx, &direct);
    skv_name_list_free(ctx, &inner);
    return status;
}

skive_status skv_folder_files_find(skive_context *ctx, const skv_file_kind *kind, const char *dir,
                                   const skive_dataset_options *options, skv_folder_files *out, skive_dataset *ds) {
    skv_left_out left = {0};
    SKV_TRY(skv_folder_parts_find(ctx, kind, dir, options->split, &out->parts));
    ds->separate_test = out->parts.has_parts;
    ds->separate_validation = out->parts.has_validation;
    const skive_status status = list_all(ctx, kind, options, out, &left, ds);
    if (status == SKIVE_OK) skv_left_out_tell(ctx, out->parts.root, &left);
    skv_left_out_free(ctx, &left);
    ds->total = out->files.count;
    return status;
}

void skv_folder_files_name(skv_folder_files *f, skive_dataset *ds) {
    if (!f->classes.count) return;
    ds->classes = (int64_t)f->classes.count;
    ds->class_names = f->classes.names; /* the list may be longer than its count */
    f->classes = (skv_name_list){0};
}

void skv_folder_files_free(skive_context *ctx, skv_folder_files *f) {
    skv_name_list_free(ctx, &f->files);
    skv_name_list_free(ctx, &f->classes);
    skv_folder_parts_free(ctx, &f->parts);
}

skive_status skv_folder_training(skive_context *ctx, const skv_file_kind *kind, const skv_folder_files *f,
                                 skv_name_list *out) {
    const char *root = f->parts.class_root;
    *out = (skv_name_list){0};
    skive_status status = SKIVE_OK;
    for (size_t i = 0; status == SKIVE_OK && i < f->classes.count; i++) {
        char *path = NULL;
        status = skv_asprintf(ctx, &path, "%s/%s", root, f->classes.names[i]);
        if (status == SKIVE_OK) status = skv_folder_list(ctx, kind, path, f->classes.names[i], out, NULL, NULL);
        skv_free(ctx, path);
    }
    if (status == SKIVE_OK && f->classes.count == 0) status = skv_folder_list(ctx, kind, root, NULL, out, NULL, NULL);
    return status;
}
