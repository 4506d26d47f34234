/* A training set with labels, and behind it the samples of another without them, as one set. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "tensor/tensor.h"

typedef struct joined {
    const skive_dataset *labelled, *unlabelled;
} joined;

/* The set that sample `at` of both together is of, and its number there. */
static const skive_dataset *set_of(const skive_dataset *ds, size_t at, size_t *index) {
    const joined *j = ds->state;
    const bool first = at < j->labelled->count;
    *index = first ? at : at - j->labelled->count;
    return first ? j->labelled : j->unlabelled;
}

/* In the type of the files. */
static skive_status load(skive_context *ctx, const skive_dataset *ds, size_t at, void *x) {
    size_t index;
    const skive_dataset *from = set_of(ds, at, &index);
    const skive_dtype dtype = skv_dataset_dtype(ds);
    const size_t bytes = (size_t)skive_dtype_bits(dtype) / 8, row = skv_dataset_at(from, index);
    if (from->u8)
        memcpy(x, from->u8 + row * from->size, from->size);
    else if (from->x.data)
        memcpy(x, (const char *)from->x.data + row * from->size * bytes, from->size * bytes);
    else
        return skv_dataset_load(ctx, from, row, x);
    return SKIVE_OK;
}

/* Samples that are decoded when they are read. */
static skive_status read_decoded(skive_context *ctx, const skive_dataset *ds, size_t at, float *x) {
    size_t index;
    const skive_dataset *from = set_of(ds, at, &index);
    return skive_dataset_read(ctx, from, index, x, NULL);
}

static void close_joined(skive_dataset *ds) { skv_free(ds->ctx, ds->state); }

/* Not kinds that a specification could name. */
static const skv_dataset_kind
    of_files = {.name = "joined", .syntax = "", .brief = "", .load = load, .close = close_joined},
    of_images = {.name = "joined", .syntax = "", .brief = "", .read = read_decoded, .close = close_joined};

static bool in_memory_or_loaded(const skive_dataset *ds) { return ds->u8 || ds->x.data || skv_dataset_loads(ds); }

static skive_status refuse(skive_context *ctx, const skive_dataset *ds, const char *why) {
    return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec, "%s as samples without labels: %s", ds->spec, why);
}

static skive_status check(skive_context *ctx, const skive_dataset *a, const skive_dataset *b) {
    char mine[SKV_DIMS_TEXT], theirs[SKV_DIMS_TEXT], why[3 * SKV_DIMS_TEXT];
    if (skv_dataset_input_count(a) > 1 || skv_dataset_answer_count(a) > 1 || a->label_rank || a->n_inputs ||
        b->n_inputs || !a->labels)
        return refuse(ctx, b, "only beside data with one input and one class label a sample");
    if (a->rank != b->rank || memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0) {
        (void)snprintf(why, sizeof why, "its samples are %s, and those with labels %s; --resize makes images equal",
                       skv_dims_text(b->rank, b->dims, theirs, sizeof theirs),
                       skv_dims_text(a->rank, a->dims, mine, sizeof mine));
        return refuse(ctx, b, why);
    }
    if (skv_dataset_dtype(a) != skv_dataset_dtype(b) || in_memory_or_loaded(a) != in_memory_or_loaded(b) ||
        a->channel_axis != b->channel_axis) {
        (void)snprintf(why, sizeof why, "they are stored as %s in another kind of files, and those with labels as %s",
                       skive_dtype_name(skv_dataset_dtype(b)), skive_dtype_name(skv_dataset_dtype(a)));
        return refuse(ctx, b, why);
    }
    if (a->recipe && (!b->recipe || strcmp(a->recipe, b->recipe) != 0))
        return refuse(ctx, b, "they are made of the files by another recipe than those with labels");
    if (a->count + b->count > UINT32_MAX) return refuse(ctx, b, "together there are more than 2^32");
    return SKIVE_OK;
}

static skive_status copy_names(skive_context *ctx, const skive_dataset *from, skive_dataset *to) {
    if (!from->class_names) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)from->classes, sizeof(char *), &to->class_names));
    for (int64_t c = 0; c < from->classes; c++) SKV_TRY(skv_strdup(ctx, from->class_names[c], &to->class_names[c]));
    return SKIVE_OK;
}

static skive_status fill(skive_context *ctx, const skive_dataset *a, const skive_dataset *b, skive_dataset *ds) {
    joined *j = NULL;
    skv_text spec;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *j, &j));
    ds->state = j;
    *j = (joined){a, b};
    skv_text_init(&spec, ctx);
    skv_text_add(&spec, "%s + %s without labels", a->spec, b->spec);
    skive_status status = spec.status == SKIVE_OK ? skv_strdup(ctx, spec.data, &ds->spec) : spec.status;
    skv_text_free(&spec);
    SKV_TRY(status);
    ds->split = a->split;
    ds->options = a->options;
    ds->options.preprocessing = NULL;
    ds->by_order = a->by_order;
    ds->total = ds->count = a->count + b->count;
    ds->rank = a->rank;
    memcpy(ds->dims, a->dims, sizeof ds->dims);
    ds->size = a->size;
    ds->channel_axis = a->channel_axis;
    ds->content = a->content;
    ds->vocabulary = a->vocabulary > b->vocabulary ? a->vocabulary : b->vocabulary;
    ds->dtype = in_memory_or_loaded(a) ? skv_dataset_dtype(a) : a->dtype;
    ds->recipe_key = a->recipe_key;
    if (a->recipe) SKV_TRY(skv_strdup(ctx, a->recipe, &ds->recipe));
    ds->classes = a->classes;
    SKV_TRY(copy_names(ctx, a, ds));
    SKV_TRY(skv_alloc_array(ctx, ds->total, sizeof *ds->labels, &ds->labels));
    for (size_t i = 0; i < ds->total; i++) ds->labels[i] = i < a->count ? a->labels[skv_dataset_at(a, i)] : -1;
    return skv_dataset_parts_finish(ctx, ds);
}

skive_status skv_dataset_join(skive_context *ctx, const skive_dataset *labelled, const skive_dataset *unlabelled,
                              skive_dataset **out) {
    skive_dataset *ds = NULL;
    *out = NULL;
    SKV_TRY(check(ctx, labelled, unlabelled));
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *ds, &ds));
    ds->ctx = ctx;
    ds->kind = in_memory_or_loaded(labelled) ? &of_files : &of_images;
    const skive_status status = fill(ctx, labelled, unlabelled, ds);
    if (status == SKIVE_OK)
        *out = ds;
    else
        skive_dataset_free(ds);
    return status;
}
