/* Files of a folder that cannot be read: refused by name, or on request left out and counted. */
#include <stdio.h>
#include <string.h>

#include "data/formats/folder.h"

static bool is_bad(skive_status status) {
    return status == SKIVE_ERR_DATA || status == SKIVE_ERR_IO || status == SKIVE_ERR_FORMAT;
}

skive_status skv_folder_bad(skive_context *ctx, skive_status status) {
    char message[1024], subject[512];
    if (!is_bad(status)) return status;
    (void)snprintf(message, sizeof message, "%s", skive_context_message(ctx));
    (void)snprintf(subject, sizeof subject, "%s", skive_context_subject(ctx));
    skv_utf8_trim(message);
    return skv_fail_at(ctx, status, subject, "%s; --skip-bad leaves out files that cannot be read", message);
}

skive_status skv_folder_skip_bad(skive_context *ctx, const skv_file_kind *kind, skv_folder_files *f,
                                 skv_file_check check, void *arg, skive_dataset *ds) {
    skv_name_list *files = &f->files;
    const size_t total = files->count;
    char first[1024] = "";
    size_t kept = 0, bad = 0;
    skv_progress progress;
    skive_status status = SKIVE_OK;
    skv_progress_start(&progress, ctx, "checking files", (double)total);
    for (size_t i = 0; i < total; i++) {
        char *path = NULL;
        if (status == SKIVE_OK) status = skv_asprintf(ctx, &path, "%s/%s", f->parts.root, files->names[i]);
        if (status == SKIVE_OK) status = check(ctx, path, arg);
        skv_free(ctx, path);
        if (is_bad(status)) {
            if (bad++ == 0) (void)snprintf(first, sizeof first, "%s", skive_context_message(ctx));
            skv_free(ctx, files->names[i]);
            status = SKIVE_OK;
            continue;
        }
        if (ds->labels) ds->labels[kept] = ds->labels[i];
        files->names[kept++] = files->names[i];
        if (status == SKIVE_OK && i % 64 == 63)
            status = skv_progress_at(&progress, (double)(i + 1), "%zu %s", i + 1, kind->many);
    }
    files->count = ds->total = kept;
    if (status != SKIVE_OK || bad == 0) return status;
    skv_utf8_trim(first);
    if (kept == 0)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, f->parts.root, "%s: none of its %zu %s can be read; the first: %s",
                           f->parts.root, total, kind->many, first);
    ds->left_out = ds->passed_over = bad;
    SKV_TRY(skv_strdup(ctx, first, &ds->first_left_out));
    skv_note(ctx, "%s: %zu of %zu %s cannot be read and %s left out (--skip-bad); the first: %s", f->parts.root, bad,
             total, kind->many, bad == 1 ? "is" : "are", first);
    return SKIVE_OK;
}
