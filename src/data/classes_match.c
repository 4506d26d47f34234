/* Numbers of classes: a data set's classes are matched by name with those of the model, and labels without names are
 * checked against the number of scores of the model. */
#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <skive/output.h>

#include "data/data.h"
#include "graph/graph.h"
#include "graph/meta_keys.h"

enum { LISTED = 12 };

static void list_names(skv_text *t, char *const *list, int64_t n) {
    for (int64_t i = 0; i < n && i < LISTED; i++)
        skv_text_add(t, "%s%.*s", i ? ", " : "", skv_utf8_prefix(list[i], 40), list[i]);
    if (n > LISTED) skv_text_add(t, " and %" PRId64 " more", n - LISTED);
}

/* Names in alphabetical order with their numbers. */
typedef struct entry {
    const char *name;
    int64_t number;
} entry;

static int by_entry(const void *a, const void *b) {
    const entry *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static int by_key(const void *key, const void *e) { return strcmp(key, ((const entry *)e)->name); }

static skive_status sort_names(skive_context *ctx, char *const *list, int64_t n, entry **out) {
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof **out, out));
    for (int64_t i = 0; i < n; i++) (*out)[i] = (entry){list[i], i};
    qsort(*out, (size_t)n, sizeof **out, by_entry);
    return SKIVE_OK;
}

/* The number of a name; -1: unknown name; -2: several classes have it. */
static int64_t find(const entry *sorted, int64_t n, const char *name) {
    const entry *e = bsearch(name, sorted, (size_t)n, sizeof *sorted, by_key);
    if (!e) return -1;
    const bool twice =
        (e > sorted && strcmp(e[-1].name, name) == 0) || (e + 1 < sorted + n && strcmp(e[1].name, name) == 0);
    return twice ? -2 : e->number;
}

static skive_status named_twice(skive_context *ctx, const skive_dataset *ds, const char *name) {
    return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec,
                       "%s: the model has several classes called '%.*s'; --class-order numbers classes by their order "
                       "instead of their names",
                       ds->spec, skv_utf8_prefix(name, 60), name);
}

static skive_status unknown_name(skive_context *ctx, const skive_dataset *ds, const char *name, char *const *list,
                                 int64_t n) {
    skv_text t;
    skv_text_init(&t, ctx);
    skv_text_add(&t, "%s: the model has no class '%.*s'; the data set has ", ds->spec, skv_utf8_prefix(name, 60), name);
    list_names(&t, ds->class_names, ds->classes);
    skv_text_add(&t, "; the model has ");
    list_names(&t, list, n);
    skv_text_add(&t, "; use --class-order to number classes by their order instead of matching names, or skive train "
                     "--classes N to give the model a new last layer");
    const skive_status status =
        t.status == SKIVE_OK ? skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec, "%s", t.data) : t.status;
    skv_text_free(&t);
    return status;
}

static void forget_names(skive_context *ctx, skive_dataset *ds) {
    skive_class_names_free(ctx, ds->class_names, ds->classes);
    ds->class_names = NULL;
}

/* Takes over the model's list of names. */
static void take_names(skive_context *ctx, skive_dataset *ds, char ***list, int64_t *n) {
    forget_names(ctx, ds);
    ds->class_names = *list;
    ds->classes = *n;
    *list = NULL;
    *n = 0;
}

static void tell_match(skive_context *ctx, const skive_dataset *ds, const int64_t *numbers, int64_t n) {
    skv_text t;
    bool moved = false;
    for (int64_t i = 0; i < ds->classes; i++) moved = moved || numbers[i] != i;
    if (!moved && ds->classes == n) return;
    skv_text_init(&t, ctx);
    list_names(&t, ds->class_names, ds->classes);
    if (t.status == SKIVE_OK)
        skv_note(ctx, "%s: its classes (%s) are matched by name with the %" PRId64 " classes of the model%s", ds->spec,
                 t.data, n, ds->classes < n ? "; the other classes do not occur" : "");
    skv_text_free(&t);
}

static skive_status renumber(skive_context *ctx, skive_dataset *ds, const int64_t *numbers) {
    if (ds->label_rank) {
        SKV_TRY(skv_alloc_array(ctx, (size_t)ds->classes, sizeof *ds->label_to, &ds->label_to));
        for (int64_t c = 0; c < ds->classes; c++) ds->label_to[c] = (int32_t)numbers[c];
        return SKIVE_OK;
    }
    for (size_t i = 0; i < ds->total; i++) ds->labels[i] = (int32_t)numbers[ds->labels[i]];
    return SKIVE_OK;
}

/* Names on both sides. `own`: the model's are skive's own metadata. */
static skive_status by_name(skive_context *ctx, skive_dataset *ds, bool own, char ***list, int64_t *n) {
    int64_t *numbers = NULL, known = 0, missing = -1;
    entry *sorted = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)ds->classes, sizeof *numbers, &numbers));
    SKV_GO(status, done, sort_names(ctx, *list, *n, &sorted));
    for (int64_t i = 0; i < ds->classes; i++) {
        numbers[i] = find(sorted, *n, ds->class_names[i]);
        if (numbers[i] == -2) SKV_GO(status, done, named_twice(ctx, ds, ds->class_names[i]));
        known += numbers[i] >= 0;
        if (numbers[i] < 0 && missing < 0) missing = i;
    }
    if (missing >= 0 && !own && known == 0 && ds->classes == *n) {
        skv_note(ctx,
                 "%s: none of its class names is in the model's metadata ('%.*s' here, '%.*s' there): classes are "
                 "numbered by their order",
                 ds->spec, skv_utf8_prefix(ds->class_names[0], 40), ds->class_names[0], skv_utf8_prefix((*list)[0], 40),
                 (*list)[0]);
    } else if (missing >= 0) {
        status = unknown_name(ctx, ds, ds->class_names[missing], *list, *n);
    } else {
        tell_match(ctx, ds, numbers, *n);
        SKV_GO(status, done, renumber(ctx, ds, numbers));
        take_names(ctx, ds, list, n);
    }
done:
    skv_free(ctx, sorted);
    skv_free(ctx, numbers);
    return status;
}

/* ---- classes that do not occur ---- */

skive_status skv_classes_tell_absent(skive_context *ctx, const char *where, const uint8_t *seen, int64_t classes,
                                     const char *more) {
    int64_t absent = 0, named = 0;
    skv_text t;
    skv_text_init(&t, ctx);
    for (int64_t c = 0; c < classes; c++) {
        absent += !seen[c];
        if (!seen[c] && named++ < LISTED) skv_text_add(&t, "%s%" PRId64, t.length ? ", " : "", c);
    }
    if (named > LISTED) skv_text_add(&t, " and %" PRId64 " more", named - LISTED);
    if (absent && t.status == SKIVE_OK)
        skv_note(ctx,
                 "%s: labels go up to %" PRId64 ", so there are %" PRId64 " classes, of which %" PRId64
                 " do%s not occur (%s); labels are numbers from 0%s",
                 where, classes - 1, classes, absent, absent == 1 ? "es" : "", t.data, more);
    const skive_status status = t.status;
    skv_text_free(&t);
    return status;
}

static skive_status tell_gaps(skive_context *ctx, const skive_dataset *ds) {
    const int32_t *labels = ds->labels ? ds->labels : ds->site_labels;
    const size_t n = ds->labels ? ds->total : ds->total * ds->label_size;
    uint8_t *seen = NULL;
    if (!labels) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)ds->classes, 1, &seen));
    for (size_t i = 0; i < n; i++) {
        if (labels[i] >= 0) seen[labels[i]] = 1;
    }
    const skive_status status = skv_classes_tell_absent(ctx, ds->spec, seen, ds->classes, "");
    skv_free(ctx, seen);
    return status;
}

/* ---- the model ---- */

static skive_status check_count(skive_context *ctx, const skive_dataset *ds, int64_t wanted) {
    for (size_t i = 0; i < ds->total; i++) {
        if (ds->labels[i] < wanted) continue;
        return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec,
                           "%s: label %" PRId32 " of sample %zu is out of range: the model has %" PRId64
                           " classes, numbered from 0 (use skive train --classes N for a new last layer, or --targets "
                           "float to fit labels as values)",
                           ds->spec, ds->labels[i], i, wanted);
    }
    if (!ds->class_names || ds->classes >= wanted) return SKIVE_OK;
    skv_text t;
    skv_text_init(&t, ctx);
    list_names(&t, ds->class_names, ds->classes);
    const skive_status status =
        t.status != SKIVE_OK ? t.status
                             : skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec,
                                           "%s: has %" PRId64 " classes (%s), but the model has %" PRId64
                                           " and no class names to match them with; use --class-order to number them "
                                           "0, 1, ... by their order, or skive train --classes N for a new last layer",
                                           ds->spec, ds->classes, t.data, wanted);
    skv_text_free(&t);
    return status;
}

/* The number of classes of the model; 0: its output is not a class; -1: unknown. One score means two classes if a
 * sigmoid follows. */
static int64_t model_classes(skive_context *ctx, const skive_graph *g) {
    const int64_t scores = skv_model_scores(ctx, g);
    skive_output_info info;
    if (scores < 1) return -1;
    if (skive_model_output(g, NULL, &info) != SKIVE_OK) {
        skive_context_clear(ctx);
        return -1;
    }
    if (info.kind >= SKIVE_OUTPUT_VALUES) return 0; /* of values and what follows them */
    if (scores > 1) return scores;
    return info.kind == SKIVE_OUTPUT_SIGMOID || info.kind == SKIVE_OUTPUT_SIGMOID_LOGITS ? 2 : -1;
}

/* Scores of each position are the channels of the output [N][classes]... */
static int64_t model_channels(const skive_graph *g) {
    const char *name = skive_graph_meta(g, SKV_META_OUTPUT_NAME);
    const skive_value *v = g->n_outputs == 1 ? g->outputs[0] : name ? skive_graph_find_value(g, name) : NULL;
    return v && v->type.rank >= 3 && v->type.dims[1].size > 1 ? v->type.dims[1].size : -1;
}

/* Masks hold numbers that need not all occur: more classes in the model are no contradiction. */
/* Where the first label is that the model does not have; empty: it cannot be read. */
static skive_status first_beyond(skive_context *ctx, const skive_dataset *ds, int64_t wanted, char *text, size_t size) {
    int64_t *labels = NULL;
    skive_status status = skv_alloc_array(ctx, ds->label_size + 1, sizeof *labels, &labels);
    const size_t width =
        ds->label_rank > 0 && ds->label_dims[ds->label_rank - 1] > 0 ? (size_t)ds->label_dims[ds->label_rank - 1] : 1;
    *text = '\0';
    for (size_t k = 0; status == SKIVE_OK && !*text && k < ds->total; k++) {
        if (ds->site_labels)
            for (size_t i = 0; i < ds->label_size; i++) labels[i] = ds->site_labels[k * ds->label_size + i];
        else if (!ds->kind->read_labels || ds->kind->read_labels(ctx, ds, k, labels) != SKIVE_OK)
            break;
        for (size_t i = 0; !*text && i < ds->label_size; i++)
            if (labels[i] >= wanted)
                (void)snprintf(text, size, " (first in sample %zu, row %zu, column %zu)", k, i / width, i % width);
    }
    skv_free(ctx, labels);
    return status;
}

static skive_status check_masks(skive_context *ctx, skive_dataset *ds, int64_t wanted) {
    char where[120];
    if (ds->classes > wanted) {
        SKV_TRY(first_beyond(ctx, ds, wanted, where, sizeof where));
        return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec,
                           "%s: its masks have classes up to %" PRId64 "%s, but the model has %" PRId64
                           " classes, numbered from 0; use skive train --classes %" PRId64 " for a new last layer",
                           ds->spec, ds->classes - 1, where, wanted, ds->classes);
    }
    if (!ds->class_names) ds->classes = wanted;
    return SKIVE_OK;
}

static skive_status for_model(skive_context *ctx, const skive_graph *g, skive_dataset *ds) {
    const int64_t wanted = ds->label_rank ? model_channels(g) : model_classes(ctx, g);
    char **list = NULL;
    int64_t n = 0;
    if (wanted == 0) return SKIVE_OK; /* labels are refused later, where they are needed */
    SKV_TRY(skive_model_class_names(ctx, g, &list, &n));
    if (list && wanted > 0 && n != wanted) {
        skv_note(ctx,
                 "the model's metadata has %" PRId64 " class names, but the model has %" PRId64
                 " classes: the names are not used",
                 n, wanted);
        skive_class_names_free(ctx, list, n);
        list = NULL;
    }
    skive_status status = SKIVE_OK;
    if (list && ds->class_names)
        status = by_name(ctx, ds, skive_graph_meta(g, SKV_META_CLASSES) != NULL, &list, &n);
    else if (list && ds->classes <= n)
        take_names(ctx, ds, &list, &n);
    if (status == SKIVE_OK && wanted > 0)
        status = ds->label_rank ? check_masks(ctx, ds, wanted) : check_count(ctx, ds, wanted);
    skive_class_names_free(ctx, list, n);
    return status;
}

skive_status skv_classes_match(skive_context *ctx, const skive_dataset_options *o, skive_dataset *ds) {
    if (o->targets == SKIVE_TARGETS_NONE) { /* a kind may not know it */
        forget_names(ctx, ds);
        skv_free(ctx, ds->labels);
        skv_free(ctx, ds->site_labels);
        skv_free(ctx, ds->targets);
        ds->labels = NULL;
        ds->site_labels = NULL;
        ds->label_rank = 0;
        ds->targets = NULL;
        ds->classes = 0;
        ds->target_rank = 0;
        ds->target_size = 0;
        return SKIVE_OK;
    }
    if (!skv_dataset_labelled(ds)) return SKIVE_OK;
    if (o->model && !o->classes_by_order) return for_model(ctx, o->model, ds);
    return ds->class_names || o->model || o->classes || o->split == SKIVE_SPLIT_TEST ? SKIVE_OK : tell_gaps(ctx, ds);
}

skive_status skv_classes_compare(skive_context *ctx, const skive_graph *g, const skive_dataset_info *info,
                                 const char *who) {
    char **list = NULL;
    int64_t n = 0, odd = 0;
    if (!info->class_names || !skive_graph_meta(g, SKV_META_CLASSES)) return SKIVE_OK;
    SKV_TRY(skive_model_class_names(ctx, g, &list, &n));
    while (odd < n && odd < info->classes && strcmp(list[odd], info->class_names[odd]) == 0) odd++;
    if (odd < n && odd < info->classes)
        skv_note(ctx, "%s: class %" PRId64 " is '%.40s', but in %s it is '%.40s': classes are matched by their number",
                 info->spec, odd, info->class_names[odd], who, list[odd]);
    skive_class_names_free(ctx, list, n);
    return SKIVE_OK;
}

int64_t skv_class_place(char *const *list, int64_t n, const char *name) {
    int64_t k = 0;
    while (k < n && strcmp(list[k], name) != 0) k++;
    return k;
}

skive_status skv_classes_map(skive_context *ctx, const skive_graph *g, const skive_dataset_info *info, const char *who,
                             bool by_order, int64_t **map) {
    char **list = NULL;
    int64_t n = 0, found = 0, missing = -1;
    bool moved = false;
    skive_status status = SKIVE_OK;
    *map = NULL;
    if (!info->class_names || !skive_graph_meta(g, SKV_META_CLASSES)) return SKIVE_OK;
    SKV_TRY(skive_model_class_names(ctx, g, &list, &n));
    if (!list) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)info->classes + 1, sizeof **map, map));
    for (int64_t c = 0; c < info->classes; c++) {
        (*map)[c] = skv_class_place(list, n, info->class_names[c]);
        if ((*map)[c] < n)
            found++;
        else if (missing < 0)
            missing = c;
        moved = moved || (*map)[c] != c;
    }
    const bool others = found == 0 && n == info->classes;
    if (others && by_order) {
        status = skv_classes_compare(ctx, g, info, who);
        moved = false;
    } else if (missing >= 0) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, info->spec,
                             "%s has the class '%.60s', which %s does not know: it has %" PRId64 " of the %" PRId64
                             " classes, and '%.60s' is one of its own%s",
                             info->spec, info->class_names[missing], who, found, info->classes, list[0],
                             others ? "; with --class-order they are matched by their order" : "");
    } else if (moved || n > info->classes) {
        moved = true;
        skv_note(ctx, "%s: its %" PRId64 " classes are matched with the %" PRId64 " of the data by name", who, n,
                 info->classes);
    }
done:
    skive_class_names_free(ctx, list, n);
    if (status != SKIVE_OK || !moved) {
        skv_free(ctx, *map);
        *map = NULL;
    }
    return status;
}
