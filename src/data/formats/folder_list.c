/* The contents of a folder of samples. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/formats/folder.h"

enum { DEEPEST = 32 };

void skv_name_list_free(skive_context *ctx, skv_name_list *list) {
    for (size_t i = 0; i < list->count; i++) skv_free(ctx, list->names[i]);
    skv_free(ctx, list->names);
    *list = (skv_name_list){0};
}

static skive_status names_add(skive_context *ctx, skv_name_list *list, const char *prefix, const char *name) {
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

int skv_by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static const char *extension(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && dot != name ? dot : "";
}

static const char *const image_extensions[] = {".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".dib", NULL};
const skv_file_kind skv_image_files = {
    .extensions = image_extensions, .formats = "PNG, JPEG or BMP", .one = "image", .many = "images"};

static bool is_sample_name(const skv_file_kind *kind, const char *name) {
    const char *e = extension(name);
    for (size_t i = 0; kind->extensions[i]; i++) {
        if (strcasecmp(e, kind->extensions[i]) == 0) return true;
    }
    return false;
}

/* Hidden, or created by a system or an archive program. */
static bool is_litter(const char *name) {
    static const char *const known[] = {"Thumbs.db", "desktop.ini", "ehthumbs.db", "__MACOSX", "@eaDir"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(name, known[i]) == 0) return true;
    }
    return name[0] == '.';
}

/* ---- what is skipped ---- */

void skv_left_out_free(skive_context *ctx, skv_left_out *left) {
    skv_free(ctx, left->first_other);
    skv_free(ctx, left->first_folder);
    skv_free(ctx, left->first_broken);
    *left = (skv_left_out){0};
}

/* The first by name is kept: the order in which folders are listed depends on the system. */
static skive_status keep_first(skive_context *ctx, char **first, const char *prefix, const char *name) {
    char *text = NULL;
    SKV_TRY(skv_asprintf(ctx, &text, "%s%s%s", prefix ? prefix : "", prefix ? "/" : "", name));
    if (*first && strcmp(*first, text) <= 0) {
        skv_free(ctx, text);
        return SKIVE_OK;
    }
    skv_free(ctx, *first);
    *first = text;
    return SKIVE_OK;
}

static skive_status count_other(skive_context *ctx, skv_left_out *left, const char *prefix, const char *name) {
    const char *e = extension(name);
    left->others++;
    for (size_t i = 0; i < SKV_LEFT_KINDS; i++) {
        if (left->kinds[i].count && strcasecmp(left->kinds[i].name, e) != 0) continue;
        if (strlen(e) >= sizeof left->kinds[i].name) break;
        for (size_t c = 0; c <= strlen(e); c++) left->kinds[i].name[c] = (char)tolower((unsigned char)e[c]);
        left->kinds[i].count++;
        break;
    }
    return keep_first(ctx, &left->first_other, prefix, name);
}

typedef enum entry_kind { FILE_ENTRY, FOLDER_ENTRY, NO_ENTRY } entry_kind;

static skive_status kind_of(skive_context *ctx, const char *path, const struct dirent *entry, bool follow,
                            entry_kind *out) {
    struct stat st;
    char *full = NULL;
    if (entry->d_type == DT_REG || entry->d_type == DT_DIR) {
        *out = entry->d_type == DT_REG ? FILE_ENTRY : FOLDER_ENTRY;
        return SKIVE_OK;
    }
    SKV_TRY(skv_asprintf(ctx, &full, "%s/%s", path, entry->d_name));
    const bool there = (follow ? stat(full, &st) : lstat(full, &st)) == 0;
    skv_free(ctx, full);
    *out = there && S_ISREG(st.st_mode) ? FILE_ENTRY : there && S_ISDIR(st.st_mode) ? FOLDER_ENTRY : NO_ENTRY;
    return SKIVE_OK;
}

/* Counts files in a folder and in its sub-folders; links are not followed, so that it terminates. */
static skive_status count_files(skive_context *ctx, const char *path, int depth, size_t *count) {
    DIR *dir = opendir(path);
    const struct dirent *entry;
    skive_status status = SKIVE_OK;
    if (!dir) return SKIVE_OK; /* unreadable folders are not counted */
    while (status == SKIVE_OK && (entry = readdir(dir))) {
        entry_kind kind;
        char *full = NULL;
        if (is_litter(entry->d_name)) continue;
        status = kind_of(ctx, path, entry, false, &kind);
        if (status == SKIVE_OK && kind == FILE_ENTRY) ++*count;
        if (status != SKIVE_OK || kind != FOLDER_ENTRY || depth >= DEEPEST) continue;
        status = skv_asprintf(ctx, &full, "%s/%s", path, entry->d_name);
        if (status == SKIVE_OK) status = count_files(ctx, full, depth + 1, count);
        skv_free(ctx, full);
    }
    (void)closedir(dir);
    return status;
}

static skive_status count_folder(skive_context *ctx, skv_left_out *left, const char *path, const char *prefix,
                                 const char *name) {
    char *full = NULL;
    left->folders++;
    SKV_TRY(skv_asprintf(ctx, &full, "%s/%s", path, name));
    skive_status status = count_files(ctx, full, 0, &left->inner);
    skv_free(ctx, full);
    return status == SKIVE_OK ? keep_first(ctx, &left->first_folder, prefix, name) : status;
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

void skv_left_out_tell(skive_context *ctx, const char *where, const skv_left_out *left) {
    skv_text t;
    skv_text_init(&t, ctx);
    if (left->others) {
        size_t named = 0;
        skv_text_add(&t, "%zu file%s of other types (", left->others, plural(left->others));
        for (size_t i = 0; i < SKV_LEFT_KINDS && left->kinds[i].count; i++) {
            skv_text_add(&t, "%zu %s, ", left->kinds[i].count,
                         left->kinds[i].name[0] ? left->kinds[i].name : "without extension");
            named += left->kinds[i].count;
        }
        if (named && named < left->others) skv_text_add(&t, "%zu more, ", left->others - named);
        skv_text_add(&t, "the first is %s)", left->first_other);
    }
    if (left->folders) {
        skv_text_add(&t, "%s%zu file%s in %zu inner folder%s (the first is %s)", t.length ? "; " : "", left->inner,
                     plural(left->inner), left->folders, plural(left->folders), left->first_folder);
    }
    if (left->broken) {
        skv_text_add(&t, "%s%zu that %s (the first is %s)", t.length ? "; " : "", left->broken,
                     left->broken == 1 ? "is not a file" : "are not files", left->first_broken);
    }
    if (t.length && t.status == SKIVE_OK) skv_note(ctx, "%s: skipped: %s", where, t.data);
    skv_text_free(&t);
}

/* ---- listing ---- */

static skive_status take(skive_context *ctx, const skv_file_kind *of, const char *path, const char *prefix,
                         const struct dirent *entry, skv_name_list *files, skv_name_list *folders, skv_left_out *left) {
    const char *name = entry->d_name;
    entry_kind kind;
    SKV_TRY(kind_of(ctx, path, entry, true, &kind));
    if (kind == FOLDER_ENTRY && folders) return names_add(ctx, folders, prefix, name);
    if (kind == FILE_ENTRY && files && is_sample_name(of, name)) return names_add(ctx, files, prefix, name);
    if (!left) return SKIVE_OK;
    if (kind == FOLDER_ENTRY) return count_folder(ctx, left, path, prefix, name);
    if (kind == FILE_ENTRY) return count_other(ctx, left, prefix, name);
    left->broken++;
    return keep_first(ctx, &left->first_broken, prefix, name);
}

skive_status skv_folder_list(skive_context *ctx, const skv_file_kind *kind, const char *path, const char *prefix,
                             skv_name_list *files, skv_name_list *folders, skv_left_out *left) {
    DIR *dir = opendir(path);
    if (!dir) {
        return skv_fail_at(ctx, errno == ENOMEM ? SKIVE_ERR_MEMORY : SKIVE_ERR_DATA, path,
                           "%s: cannot read this folder of %s", path, kind->many);
    }
    skive_status status = SKIVE_OK;
    const size_t first_file = files ? files->count : 0, first_folder = folders ? folders->count : 0;
    while (status == SKIVE_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno) status = skv_fail_errno(ctx, path, "read", errno);
            break;
        }
        if (!is_litter(entry->d_name)) status = take(ctx, kind, path, prefix, entry, files, folders, left);
    }
    (void)closedir(dir);
    if (files && files->count > first_file)
        qsort(files->names + first_file, files->count - first_file, sizeof *files->names, skv_by_name);
    if (folders && folders->count > first_folder)
        qsort(folders->names + first_folder, folders->count - first_folder, sizeof *folders->names, skv_by_name);
    return status;
}
