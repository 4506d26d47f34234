/* Models that know a part of a data set's classes, by their names. */
#include <inttypes.h>
#include <string.h>

#include <skive/output.h>

#include "data/data.h"
#include "graph/graph.h"

/* Which of the data's classes are in the list; a note tells them. */
static skive_status map_known(skive_context *ctx, char **list, int64_t n, const skive_dataset_info *info,
                              const char *who, int64_t *map) {
    int64_t found = 0;
    skv_text left;
    skv_text_init(&left, ctx);
    for (int64_t c = 0; c < info->classes; c++) {
        const int64_t place = skv_class_place(list, n, info->class_names[c]);
        map[c] = place < n ? place : -1;
        found += place < n;
        if (place == n) skv_text_add(&left, "%s%.60s", left.length ? ", " : "", info->class_names[c]);
    }
    skive_status status = left.status;
    if (status == SKIVE_OK && found < 2)
        status =
            skv_fail_at(ctx, SKIVE_ERR_DATA, info->spec,
                        "%s knows %" PRId64 " of the %" PRId64 " classes of %s ('%.60s' is one of its own, '%.60s' "
                        "one of the data); it must know two or more, by the same names",
                        who, found, info->classes, info->spec, list[0], info->class_names[0]);
    else if (status == SKIVE_OK && left.length)
        skv_note(ctx,
                 "%s knows %" PRId64 " of the %" PRId64
                 " classes: the student learns from it on these, from samples of "
                 "them; it does not know %s",
                 who, found, info->classes, left.data);
    else if (status == SKIVE_OK)
        skv_note(ctx, "%s knows all %" PRId64 " classes", who, info->classes);
    skv_text_free(&left);
    return status;
}

skive_status skv_classes_known(skive_context *ctx, const skive_graph *g, char **names, int64_t n,
                               const skive_dataset_info *info, const char *who, int64_t **map) {
    char **own = NULL;
    skive_status status = SKIVE_OK;
    *map = NULL;
    if (!info->class_names)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, info->spec,
                           "%s: its classes have no names, by which those that %s knows could be found", info->spec,
                           who);
    if (!names) SKV_TRY(skive_model_class_names(ctx, g, &own, &n));
    char **list = names ? names : own;
    if (!list)
        SKV_GO(status, done,
               skv_fail_at(ctx, SKIVE_ERR_DATA, info->spec,
                           "%s records no names of its classes; name a file that has them, one a line in the order of "
                           "its scores (--teacher-classes FILE)",
                           who));
    for (int64_t i = 0; i < n; i++) {
        if (skv_class_place(list, n, list[i]) == i) continue;
        SKV_GO(status, done,
               skv_fail_at(ctx, SKIVE_ERR_DATA, info->spec, "%s: the class '%.60s' is there twice", who, list[i]));
    }
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)info->classes + 1, sizeof **map, map));
    status = map_known(ctx, list, n, info, who, *map);
done:
    skive_class_names_free(ctx, own, own ? n : 0);
    if (status == SKIVE_OK) return status;
    skv_free(ctx, *map);
    *map = NULL;
    return status;
}
