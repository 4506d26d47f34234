/* Data sets with several inputs or targets: the parts that the set lists, and its children, which have samples or
 * labels of their own and share the order of their owner. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "data/formats/disk.h"
#include "graph/unknown.h"
#include "tensor/tensor.h"

/* ---- children ---- */

static skive_status read_memory(skive_context *ctx, const skive_dataset *ds, size_t index, float *x) {
    (void)ctx;
    skv_to_f32(ds->x.dtype, ds->x.data, index * ds->size, ds->size, x);
    return SKIVE_OK;
}

/* Of children that a kind fills in by itself; not one that a specification could name. */
static const skv_dataset_kind memory = {.name = "memory", .syntax = "", .brief = "", .read = read_memory};

skive_status skv_dataset_new_child(skive_context *ctx, skive_dataset *ds, skive_dataset **out) {
    skive_dataset *child = NULL;
    *out = NULL;
    SKV_TRY(skv_grow(ctx, &ds->children, ds->n_children, ds->n_children + 1, sizeof(skive_dataset *)));
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *child, &child));
    child->ctx = ctx;
    child->kind = &memory;
    child->split = ds->split;
    child->options = ds->options;
    child->channel_axis = -1;
    child->owner = ds;
    ds->children[ds->n_children++] = child;
    *out = child;
    return skv_strdup(ctx, ds->spec, &child->spec);
}

void skv_dataset_take_samples(skive_dataset *set, skive_tensor *t) {
    set->total = t->rank > 0 ? (size_t)t->dims[0] : 0;
    set->size = set->total ? (size_t)skive_tensor_count(t) / set->total : 0;
    set->rank = t->rank > 1 ? t->rank - 1 : 1;
    set->dims[0] = 1;
    for (int d = 1; d < t->rank; d++) set->dims[d - 1] = t->dims[d];
    set->channel_axis = -1;
    set->x = *t;
    set->u8 = t->dtype == SKIVE_U8 ? t->data : NULL;
    *t = (skive_tensor){0};
}

skive_status skv_dataset_take_disk(skive_context *ctx, skive_dataset *set, const char *path, uint64_t offset,
                                   const skv_npy_info *info) {
    const size_t total = (size_t)info->dims[0], row = info->bytes / total;
    set->total = total;
    set->rank = info->rank > 1 ? info->rank - 1 : 1;
    set->dims[0] = 1;
    set->size = 1;
    for (int d = 1; d < info->rank; d++) {
        set->dims[d - 1] = info->dims[d];
        set->size *= (size_t)info->dims[d]; /* less than the bytes of the file */
    }
    set->channel_axis = -1;
    set->dtype = info->dtype;
    SKV_TRY(skv_disk_create(ctx, info->dtype, info->big, set->size, &set->disk));
    return skv_disk_add(set->disk, path, offset + info->start, row, total);
}

/* ---- the lists ---- */

static skive_status add(skive_context *ctx, skv_dataset_part **list, size_t *n, const char *name, skive_dataset *set) {
    skv_dataset_part part = {.set = set};
    if (*n == SKV_MAX_PARTS)
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "%s: more than %d inputs or targets", set->spec, (int)SKV_MAX_PARTS);
    for (size_t i = 0; name && i < *n; i++) {
        if ((*list)[i].name && strcmp((*list)[i].name, name) == 0)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, name, "%s: two inputs or targets are called '%s'", set->spec, name);
    }
    SKV_TRY(skv_grow(ctx, list, *n, *n + 1, sizeof **list));
    if (name) SKV_TRY(skv_strdup(ctx, name, &part.name));
    (*list)[(*n)++] = part;
    return SKIVE_OK;
}

skive_status skv_dataset_add_input(skive_context *ctx, skive_dataset *ds, const char *name, skive_dataset *set) {
    return add(ctx, &ds->inputs, &ds->n_inputs, name, set);
}

/* Labels and targets of the child, which keeps none. */
static void move_answer(skive_dataset *from, skive_dataset *to) {
    to->labels = from->labels;
    to->classes = from->classes;
    to->class_names = from->class_names;
    to->targets = from->targets;
    to->target_rank = from->target_rank;
    memcpy(to->target_dims, from->target_dims, sizeof to->target_dims);
    to->target_size = from->target_size;
    from->labels = NULL;
    from->classes = 0;
    from->class_names = NULL;
    from->targets = NULL;
    from->target_rank = 0;
    from->target_size = 0;
}

skive_status skv_dataset_add_answer(skive_context *ctx, skive_dataset *ds, const char *name, skive_dataset *set) {
    const bool first = ds->n_answers == 0, moves = first && !set->label_rank;
    SKV_TRY(add(ctx, &ds->answers, &ds->n_answers, name, moves ? ds : set));
    if (moves && set != ds) move_answer(set, ds);
    if (!first || moves || set == ds) return SKIVE_OK;
    ds->label_rank = set->label_rank; /* labels of all positions stay with the kind that reads them */
    memcpy(ds->label_dims, set->label_dims, sizeof ds->label_dims);
    ds->label_size = set->label_size;
    ds->classes = set->classes;
    return SKIVE_OK;
}

size_t skv_dataset_input_count(const skive_dataset *ds) { return ds->n_inputs ? ds->n_inputs : 1; }

size_t skv_dataset_answer_count(const skive_dataset *ds) {
    return ds->n_answers ? ds->n_answers : skv_dataset_labelled(ds) || ds->targets ? 1 : 0;
}

const skive_dataset *skv_dataset_input(const skive_dataset *ds, size_t i) {
    return ds->n_inputs ? ds->inputs[i].set : ds;
}

const skive_dataset *skv_dataset_answer(const skive_dataset *ds, size_t i) {
    return ds->n_answers ? ds->answers[i].set : ds;
}

const skive_dataset *skive_dataset_get_input(const skive_dataset *ds, size_t i) {
    return ds && i < skv_dataset_input_count(ds) ? skv_dataset_input(ds, i) : NULL;
}

const skive_dataset *skive_dataset_get_target(const skive_dataset *ds, size_t i) {
    return ds && i < skv_dataset_answer_count(ds) ? skv_dataset_answer(ds, i) : NULL;
}

/* ---- opening and freeing ---- */

static skive_status check_total(skive_context *ctx, const skive_dataset *ds, const skv_dataset_part *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (list[i].set->total == list[0].set->total) continue;
        return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec, "%s: '%s' has %zu samples, but '%s' has %zu", ds->spec,
                           list[0].name ? list[0].name : list[0].set->spec, list[0].set->total,
                           list[i].name ? list[i].name : list[i].set->spec, list[i].set->total);
    }
    return SKIVE_OK;
}

skive_status skv_dataset_parts_check(skive_context *ctx, const skive_dataset *ds) {
    SKV_TRY(check_total(ctx, ds, ds->inputs, ds->n_inputs));
    SKV_TRY(check_total(ctx, ds, ds->answers, ds->n_answers));
    if (ds->n_inputs == 0 || ds->inputs[0].set->total == ds->total) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec, "%s: '%s' has %zu samples, but there are %zu labels", ds->spec,
                       ds->inputs[0].name ? ds->inputs[0].name : ds->inputs[0].set->spec, ds->inputs[0].set->total,
                       ds->total);
}

static skive_dataset_input input_of(const skive_dataset *ds, const char *name) {
    skive_dataset_input in = {.name = name,
                              .rank = ds->rank,
                              .sample_size = ds->size,
                              .dtype = skv_dataset_dtype(ds),
                              .preprocessing = ds->recipe,
                              .channel_axis = ds->channel_axis};
    memcpy(in.dims, ds->dims, sizeof in.dims);
    return in;
}

static skive_dataset_target target_of(const skive_dataset *ds, const char *name) {
    skive_dataset_target t = {.name = name,
                              .labelled = skv_dataset_labelled(ds),
                              .classes = ds->classes,
                              .class_names = (const char *const *)ds->class_names,
                              .rank = ds->target_rank,
                              .target_size = ds->target_size};
    memcpy(t.dims, ds->target_dims, sizeof t.dims);
    if (ds->label_rank) {
        t.rank = ds->label_rank;
        memcpy(t.dims, ds->label_dims, sizeof t.dims);
    }
    return t;
}

static skive_status describe(skive_context *ctx, skive_dataset *ds) {
    const size_t n_inputs = skv_dataset_input_count(ds), n_answers = skv_dataset_answer_count(ds);
    SKV_TRY(skv_alloc_array(ctx, n_inputs, sizeof *ds->input_list, &ds->input_list));
    SKV_TRY(skv_alloc_array(ctx, n_answers + 1, sizeof *ds->target_list, &ds->target_list));
    for (size_t i = 0; i < n_inputs; i++)
        ds->input_list[i] = input_of(skv_dataset_input(ds, i), ds->n_inputs ? ds->inputs[i].name : NULL);
    for (size_t i = 0; i < n_answers; i++)
        ds->target_list[i] = target_of(skv_dataset_answer(ds, i), ds->n_answers ? ds->answers[i].name : NULL);
    return SKIVE_OK;
}

/* Whoever looks at the samples of the set itself sees the first input. */
static void look_like(skive_dataset *ds, const skive_dataset *first) {
    ds->rank = first->rank;
    memcpy(ds->dims, first->dims, sizeof ds->dims);
    ds->size = first->size;
    ds->channel_axis = first->channel_axis;
    ds->content = first->content;
    ds->dtype = skv_dataset_dtype(first);
}

skive_status skv_dataset_parts_finish(skive_context *ctx, skive_dataset *ds) {
    if (ds->n_inputs && ds->inputs[0].set != ds) look_like(ds, ds->inputs[0].set);
    for (size_t i = 0; i < ds->n_children; i++) {
        skive_dataset *child = ds->children[i];
        child->order = ds->order;
        child->count = ds->count;
        child->split = ds->split;
        child->separate_test = ds->separate_test;
        SKV_TRY(describe(ctx, child));
    }
    return describe(ctx, ds);
}

static void free_list(skive_context *ctx, skv_dataset_part *list, size_t n) {
    for (size_t i = 0; i < n; i++) skv_free(ctx, list[i].name);
    skv_free(ctx, list);
}

void skv_dataset_parts_free(skive_dataset *ds) {
    skive_context *ctx = ds->ctx;
    free_list(ctx, ds->inputs, ds->n_inputs);
    free_list(ctx, ds->answers, ds->n_answers);
    for (size_t i = 0; i < ds->n_children; i++) skive_dataset_free(ds->children[i]);
    skv_free(ctx, ds->children);
    skv_free(ctx, ds->input_list);
    skv_free(ctx, ds->target_list);
}

/* ---- the options of a kind ---- */

/* The end of an item: its comma, or the end of the text. */
static const char *item_end(const char *at) {
    while (*at && *at != ',') at += at[0] == '\\' && at[1] ? 2 : 1;
    return at;
}

/* The option that the item begins with, or n_options. *word: length of its name. */
static size_t option_of(const skv_dataset_kind *kind, const char *item, size_t *word) {
    *word = strcspn(item, "=,\\");
    if (item[*word] != '=') return kind->n_options;
    for (size_t i = 0; i < kind->n_options; i++) {
        if (strlen(kind->options[i].name) == *word && memcmp(kind->options[i].name, item, *word) == 0) return i;
    }
    return kind->n_options;
}

/* An item that looks like an option and is neither one nor a file. */
static skive_status check_file(skive_context *ctx, const skv_dataset_kind *kind, const char *item, size_t length,
                               size_t word) {
    char *path = NULL;
    if (item[word] != '=' || memchr(item, '/', word) || memchr(item, '.', word)) return SKIVE_OK;
    SKV_TRY(skv_strdup_n(ctx, item, length, &path));
    skive_status status = SKIVE_OK;
    if (!skv_path_exists(path)) {
        const char *names[SKV_MOST_OPTIONS];
        char none[80], *given = path;
        for (size_t i = 0; i < kind->n_options; i++) names[i] = kind->options[i].name;
        given[word] = '\0';
        (void)snprintf(none, sizeof none, "data set '%s' has no option", kind->name);
        status = skv_fail_no_such(ctx, SKIVE_ERR_ARGUMENT, none, given, names, kind->n_options);
    }
    skv_free(ctx, path);
    return status;
}

skive_status skv_split_options(skive_context *ctx, const skv_dataset_kind *kind, const char *args, char **rest,
                               skive_dataset *ds) {
    skv_text files, options;
    char owner[64];
    skive_status status = SKIVE_OK;
    bool in_list = false;
    *rest = NULL;
    if (kind->n_options == 0) return skv_strdup(ctx, args, rest);
    skv_text_init(&files, ctx);
    skv_text_init(&options, ctx);
    for (const char *at = args; *at;) {
        const char *end = item_end(at);
        size_t word;
        const size_t which = option_of(kind, at, &word);
        const bool option = which < kind->n_options || (in_list && at[word] != '=');
        if (which < kind->n_options) in_list = kind->options[which].type == SKV_OPTION_LIST;
        skv_text *to = option ? &options : &files;
        if (!option) SKV_GO(status, done, check_file(ctx, kind, at, (size_t)(end - at), word));
        skv_text_add(to, "%s%.*s", to->length ? "," : "", (int)(end - at), at);
        at = *end ? end + 1 : end;
    }
    status = files.status != SKIVE_OK ? files.status : options.status;
    if (status == SKIVE_OK) status = skv_alloc_array(ctx, 1, sizeof *ds->values, &ds->values);
    (void)snprintf(owner, sizeof owner, "data set '%s'", kind->name);
    if (status == SKIVE_OK)
        status = skv_options_parse(ctx, owner, kind->options, kind->n_options, options.data, ds->values);
    if (status == SKIVE_OK) status = skv_strdup(ctx, files.data ? files.data : "", rest);
done:
    skv_text_free(&files);
    skv_text_free(&options);
    return status;
}
