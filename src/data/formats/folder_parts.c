/* The parts of a folder of samples, for training, validation and test, or one folder for all. */
#include <string.h>
#include <strings.h>

#include "data/formats/folder.h"

enum { TRAIN, VALIDATION, TEST, PARTS, SPELLINGS = 3 };

/* Compared without regard to case; the first that exists is used. */
static const char *const spellings[PARTS][SPELLINGS] = {
    {"train", "training"}, {"val", "valid", "validation"}, {"test", "testing"}};

static const char *find_part(const skv_name_list *list, int part) {
    for (int k = 0; k < SPELLINGS && spellings[part][k]; k++) {
        for (size_t i = 0; i < list->count; i++) {
            if (strcasecmp(list->names[i], spellings[part][k]) == 0) return list->names[i];
        }
    }
    return NULL;
}

static bool is_part_name(const char *name) {
    for (int part = 0; part < PARTS; part++) {
        for (int k = 0; k < SPELLINGS && spellings[part][k]; k++) {
            if (strcasecmp(name, spellings[part][k]) == 0) return true;
        }
    }
    return false;
}

/* Are the folders of `dir` parts, not classes? A class may be called "train"; it has files in it, not folders. */
static skive_status are_parts(skive_context *ctx, const skv_file_kind *kind, const char *dir,
                              const skv_name_list *folders, bool *out) {
    skv_name_list inner = {0};
    size_t parts = 0;
    char *train = NULL;
    for (size_t i = 0; i < folders->count; i++) parts += is_part_name(folders->names[i]);
    *out = parts > 0 && parts == folders->count;
    const char *name = find_part(folders, TRAIN);
    if (*out || !name) return SKIVE_OK;
    SKV_TRY(skv_asprintf(ctx, &train, "%s/%s", dir, name));
    const skive_status status = skv_folder_list(ctx, kind, train, NULL, NULL, &inner, NULL);
    *out = inner.count > 0;
    skv_name_list_free(ctx, &inner);
    skv_free(ctx, train);
    return status;
}

static void tell_others(skive_context *ctx, const char *dir, const skv_name_list *folders, const char *validation) {
    skv_text t;
    skv_text_init(&t, ctx);
    for (size_t i = 0; i < folders->count; i++) {
        const char *name = folders->names[i];
        if (name == find_part(folders, TRAIN) || name == find_part(folders, TEST)) continue;
        if (name == validation) continue;
        skv_text_add(&t, "%s%s/", t.length ? ", " : "", name);
    }
    if (t.length && t.status == SKIVE_OK) skv_note(ctx, "%s: skipped, beside train/ and test/: %s", dir, t.data);
    skv_text_free(&t);
}

static skive_status no_part(skive_context *ctx, const char *dir, const skv_name_list *folders, int part) {
    const char *validation = find_part(folders, VALIDATION), *name = spellings[part][0];
    if (part == TEST && find_part(folders, TRAIN))
        return skv_fail_at(ctx, SKIVE_ERR_DATA, dir,
                           "%s: has train/ but no test/, so there is no test split; --split validation uses %s/", dir,
                           validation ? validation : "samples held out of train");
    return skv_fail_at(ctx, SKIVE_ERR_DATA, dir, "%s: has no folder %s/, so there is no %s split", dir, name, name);
}

static skive_status choose(skive_context *ctx, const char *dir, const skv_name_list *folders, skive_split split,
                           skv_folder_parts *out) {
    const char *train = find_part(folders, TRAIN), *validation = find_part(folders, VALIDATION);
    const int part = split == SKIVE_SPLIT_TEST                       ? TEST
                     : split == SKIVE_SPLIT_VALIDATION && validation ? VALIDATION
                                                                     : TRAIN;
    const char *found = find_part(folders, part);
    out->has_parts = true;
    out->has_validation = validation != NULL;
    if (!found) return no_part(ctx, dir, folders, part);
    tell_others(ctx, dir, folders, validation);
    if (validation && split != SKIVE_SPLIT_TEST)
        skv_note(ctx, "%s/%s contains the validation samples; none of train/ are held out", dir, validation);
    SKV_TRY(skv_asprintf(ctx, &out->root, "%s/%s", dir, found));
    return skv_asprintf(ctx, &out->class_root, "%s/%s", dir, train ? train : found);
}

skive_status skv_folder_parts_find(skive_context *ctx, const skv_file_kind *kind, const char *dir, skive_split split,
                                   skv_folder_parts *out) {
    skv_name_list folders = {0};
    bool parts = false;
    *out = (skv_folder_parts){0};
    if (!skv_path_is_folder(dir)) return skv_fail_at(ctx, SKIVE_ERR_DATA, dir, "%s: no such folder", dir);
    skive_status status = skv_folder_list(ctx, kind, dir, NULL, NULL, &folders, NULL);
    if (status == SKIVE_OK) status = are_parts(ctx, kind, dir, &folders, &parts);
    if (status == SKIVE_OK && parts) {
        status = choose(ctx, dir, &folders, split, out);
    } else if (status == SKIVE_OK) {
        status = skv_strdup(ctx, dir, &out->root);
        if (status == SKIVE_OK) status = skv_strdup(ctx, dir, &out->class_root);
    }
    skv_name_list_free(ctx, &folders);
    return status;
}

void skv_folder_parts_free(skive_context *ctx, skv_folder_parts *parts) {
    skv_free(ctx, parts->root);
    skv_free(ctx, parts->class_root);
    *parts = (skv_folder_parts){0};
}
