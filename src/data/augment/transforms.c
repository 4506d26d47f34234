/* Lists of transforms: parsing, whether they fit the samples, and application to a sample. */
#include <string.h>

#include "data/feed.h"
#include "data/transform.h"
#include "tensor/tensor.h"

static const skv_transform *const transforms[] = {
#define X(id) &skv_transform_##id,
#include "data/transforms.inc"
#undef X
};

enum { TRANSFORM_COUNT = sizeof transforms / sizeof transforms[0] };

size_t skive_transform_count(void) { return TRANSFORM_COUNT; }

const char *skive_transform_name(size_t index) { return index < TRANSFORM_COUNT ? transforms[index]->name : NULL; }

const char *skive_transform_syntax(size_t index) { return index < TRANSFORM_COUNT ? transforms[index]->syntax : NULL; }

const char *skive_transform_brief(size_t index) { return index < TRANSFORM_COUNT ? transforms[index]->brief : NULL; }

SKV_FAMILY(transform, transforms, "transform")

static skive_status parse_one(skive_context *ctx, const char *text, size_t length, skv_transform_list *list) {
    char one[SKV_OPTION_TEXT_ROOM];
    skv_option_values values;
    size_t index;
    if (length >= sizeof one) return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms", "a transform is too long");
    memcpy(one, text, length);
    one[length] = '\0';
    SKV_TRY(skv_family_pick(ctx, &skv_transform_family, "transforms", one, &index, &values));
    if (list->count == SKV_MAX_TRANSFORMS) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms", "more than %d transforms", (int)SKV_MAX_TRANSFORMS);
    }
    const skv_transform *t = transforms[index];
    list->items[list->count].transform = t;
    list->items[list->count].options = values;
    if (t->scratch > list->scratch) list->scratch = t->scratch;
    list->count++;
    return SKIVE_OK;
}

/* The comma behind an item: what follows with a '=' before any ':' is one more option of the same transform. */
static const char *item_end(const char *from) {
    const char *comma = strchr(from, ',');
    while (comma && comma[1 + strcspn(comma + 1, ":,=")] == '=') comma = strchr(comma + 1, ',');
    return comma ? comma : from + strlen(from);
}

skive_status skv_transforms_parse(skive_context *ctx, const char *text, skv_transform_list *out) {
    *out = (skv_transform_list){0};
    if (!text || !*text) return SKIVE_OK;
    for (const char *from = text;;) {
        const char *end = item_end(from);
        SKV_TRY(parse_one(ctx, from, (size_t)(end - from), out));
        if (!*end) return SKIVE_OK;
        from = end + 1;
    }
}

/* ---- what samples are ---- */

const char *skv_content_name(skv_content content) {
    switch (content) {
    case SKV_CONTENT_IMAGE: return "images";
    case SKV_CONTENT_WAVE: return "series";
    case SKV_CONTENT_FEATURES: return "features of series";
    case SKV_CONTENT_TOKENS: return "tokens";
    case SKV_CONTENT_TABLE: return "rows of a table";
    case SKV_CONTENT_UNKNOWN: break;
    }
    return "of no known kind";
}

unsigned skv_contents_of(const skive_dataset *ds) {
    if (ds->content != SKV_CONTENT_UNKNOWN) return 1u << ds->content;
    if (skv_dataset_bytes(ds)) return ds->rank == 2 || ds->rank == 3 ? SKV_ON_IMAGE : ds->rank == 1 ? SKV_ON_TABLE : 0;
    if (ds->rank == 1)
        return skv_dtype_is_float(skv_dataset_dtype(ds)) ? SKV_ON_TABLE | SKV_ON_WAVE
                                                         : SKV_ON_TABLE | SKV_ON_WAVE | SKV_ON_TOKENS;
    if (ds->rank == 2) return SKV_ON_IMAGE | SKV_ON_WAVE | SKV_ON_FEATURES;
    if (ds->rank == 3) return ds->dims[0] == 1 ? SKV_ON_IMAGE | SKV_ON_FEATURES : SKV_ON_IMAGE;
    return 0;
}

void skv_content_dims(const skive_dataset *ds, skv_content content, bool last, int64_t dims[3]) {
    dims[0] = dims[1] = 1;
    dims[2] = (int64_t)ds->size;
    if (ds->rank == 3) {
        dims[0] = ds->dims[last ? 2 : 0];
        dims[1] = ds->dims[last ? 0 : 1];
        dims[2] = ds->dims[last ? 1 : 2];
    } else if (ds->rank == 2) {
        dims[content == SKV_CONTENT_WAVE ? 0 : 1] = ds->dims[0];
        dims[2] = ds->dims[1];
    }
}

/* ---- do they fit? ---- */

static void add_contents(skv_text *t, unsigned contents) {
    const char *between = "";
    for (unsigned c = 1; contents >> c; c++) {
        if (!(contents >> c & 1)) continue;
        skv_text_add(t, "%s%s", between, skv_content_name((skv_content)c));
        between = " or ";
    }
    if (!contents) skv_text_add(t, "of no known kind");
}

static skive_status wrong_content(skive_context *ctx, const skive_dataset *ds, const skv_transform *t, unsigned are) {
    skv_text wanted, given;
    char shape[160];
    skv_text_init(&wanted, ctx);
    skv_text_init(&given, ctx);
    add_contents(&wanted, t->on);
    add_contents(&given, are);
    skive_status status = wanted.status != SKIVE_OK ? wanted.status : given.status;
    if (status == SKIVE_OK)
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                             "transform '%s' is for %s, but the samples of %s, %s, are %s", t->name, wanted.data,
                             ds->spec, skv_shape_text(ds->rank, ds->dims, shape, sizeof shape), given.data);
    skv_text_free(&wanted);
    skv_text_free(&given);
    return status;
}

static skive_status cannot_move(skive_context *ctx, const skive_dataset *ds, const skv_transform *t) {
    skv_text those;
    skv_text_init(&those, ctx);
    for (size_t i = 0; i < TRANSFORM_COUNT; i++) {
        if (transforms[i]->warp) skv_text_add(&those, "%s%s", those.length ? ", " : "", transforms[i]->name);
    }
    skive_status status = those.status;
    if (status == SKIVE_OK)
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                             "transform '%s' cannot move the masks of %s with its images; those that can are: %s",
                             t->name, ds->spec, those.data);
    skv_text_free(&those);
    return status;
}

static skive_status check_one(skive_context *ctx, const skive_dataset *ds, const skv_transform *t,
                              const skv_option_values *options, const int64_t dims[3]) {
    if (t->unit && !skv_dataset_bytes(ds))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                           "transform '%s' needs pixels between 0 and 1, as 8-bit images are read, but %s has samples "
                           "of %s, whose range is not known; store them as uint8",
                           t->name, ds->spec, skive_dtype_name(skv_dataset_dtype(ds)));
    if (t->channels && t->channels != dims[0])
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                           "transform '%s' needs %lld channels, but the samples of %s have %lld", t->name,
                           (long long)t->channels, ds->spec, (long long)dims[0]);
    if (t->moves && ds->label_rank) return cannot_move(ctx, ds, t);
    if (t->shortens && ds->n_inputs > 1)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                           "transform '%s' changes the lengths of texts, which other inputs of %s state", t->name,
                           ds->spec);
    return t->check ? t->check(ctx, options, dims) : SKIVE_OK;
}

skive_status skv_transforms_fit(skive_context *ctx, const skv_transform_list *list, const skive_dataset *ds, bool last,
                                skv_content *content) {
    const unsigned known = skv_contents_of(ds);
    unsigned possible = known;
    int64_t dims[3];
    char shape[160];
    *content = SKV_CONTENT_UNKNOWN;
    for (int i = 0; i < list->count; i++) {
        const skv_transform *t = list->items[i].transform;
        if (!(possible & t->on)) return wrong_content(ctx, ds, t, possible);
        possible &= t->on;
    }
    for (unsigned c = 1; possible >> c && *content == SKV_CONTENT_UNKNOWN; c++) {
        if (possible >> c & 1) *content = (skv_content)c;
    }
    skv_content_dims(ds, *content, last, dims);
    for (int i = 0; i < list->count; i++)
        SKV_TRY(check_one(ctx, ds, list->items[i].transform, &list->items[i].options, dims));
    if (list->count && known != possible && ds->content == SKV_CONTENT_UNKNOWN && *content != SKV_CONTENT_IMAGE)
        skv_note(ctx, "augmentation takes the samples of %s, %s, for %s", ds->spec,
                 skv_shape_text(ds->rank, ds->dims, shape, sizeof shape), skv_content_name(*content));
    return SKIVE_OK;
}

/* ---- a sample ---- */

/* Apart from the streams of the transforms themselves, which are below 2^38 (transform.h), and of mixing. */
enum { SPARE_STREAM_SHIFT = 38 };

bool skv_transforms_spare(const skv_transform_run *r, int i) {
    if (r->spare <= 0) return false;
    const uint64_t stream = ((uint64_t)1 << SPARE_STREAM_SHIFT) + r->epoch * (SKV_MAX_TRANSFORMS + 1) + (uint64_t)i;
    skv_draw draw = skv_draw_at(r->seed, r->index, stream);
    return skv_draw_uniform(&draw) < r->spare;
}

float *skv_transforms_apply(const skv_transform_run *r, float *a, float *b) {
    for (int i = 0; i < r->list->count; i++) {
        const skv_transform *t = r->list->items[i].transform;
        if (skv_transforms_spare(r, i)) continue;
        skv_draw draw = skv_draw_at(r->seed, r->index, r->epoch * SKV_MAX_TRANSFORMS + (uint64_t)i);
        const skv_augment one = {.options = &r->list->items[i].options,
                                 .draw = &draw,
                                 .content = r->content,
                                 .dims = r->dims,
                                 .scratch = r->scratch,
                                 .deviation = r->deviation};
        bool changed = false;
        if (t->warp) {
            skv_warp warp;
            changed = t->warp(&one, &warp);
            if (changed) skv_warp_run(&warp, r->dims, a, b);
        } else if (t->apply) {
            changed = t->apply(&one, a, b);
        }
        if (!changed) continue;
        float *swap = a;
        a = b;
        b = swap;
    }
    return a;
}

void skv_transforms_apply_labels(const skv_transform_run *r, int64_t *labels, int64_t *b) {
    for (int i = 0; i < r->list->count; i++) {
        const skv_transform *t = r->list->items[i].transform;
        skv_draw draw = skv_draw_at(r->seed, r->index, r->epoch * SKV_MAX_TRANSFORMS + (uint64_t)i);
        const skv_augment one = {
            .options = &r->list->items[i].options, .draw = &draw, .content = r->content, .dims = r->dims};
        skv_warp warp;
        if (!t->warp || skv_transforms_spare(r, i) || !t->warp(&one, &warp)) continue;
        skv_warp_labels(&warp, r->dims, labels, b);
        memcpy(labels, b, (size_t)(r->dims[1] * r->dims[2]) * sizeof *b);
    }
}
