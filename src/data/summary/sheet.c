/* The contact sheet: samples as the loader gives them to a training run, drawn side by side. */
#include "data/summary/sheet.h"

#include <stdio.h>
#include <string.h>

#include "data/feed.h"

enum { MOST_SAMPLES = 1024, MOST_COLUMNS = 64, GAP = 6, LINE = SKV_GLYPH_HEIGHT + 3, LEAST_CURVE = 64 };

skive_sheet_options skive_sheet_options_default(void) {
    return (skive_sheet_options){.size = sizeof(skive_sheet_options), .columns = 8};
}

static skive_status check_options(skive_context *ctx, const skive_sheet_options *given, skive_sheet_options *o) {
    *o = skive_sheet_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_sheet_options", given, o, sizeof *o));
    if (o->samples > MOST_SAMPLES)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "samples", "%zu samples on a sheet: give 1 to %d, or 0 for 64",
                           o->samples, (int)MOST_SAMPLES);
    if (o->columns < 1 || o->columns > MOST_COLUMNS)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "columns", "%d columns on a sheet: give 1 to %d", o->columns,
                           (int)MOST_COLUMNS);
    return SKIVE_OK;
}

/* What the samples are drawn as; UNKNOWN: they cannot be drawn. */
static skv_content drawn_as(const skive_dataset *ds) {
    const unsigned may = skv_contents_of(ds);
    if (may & SKV_ON_IMAGE && ds->content == SKV_CONTENT_UNKNOWN && !skv_dataset_bytes(ds) && ds->rank == 2 &&
        ds->dims[0] <= 16 && ds->dims[1] >= LEAST_CURVE)
        return SKV_CONTENT_WAVE; /* a few long rows */
    if (may & SKV_ON_IMAGE) return SKV_CONTENT_IMAGE;
    if (may & SKV_ON_FEATURES) return SKV_CONTENT_FEATURES;
    return may & SKV_ON_WAVE && ds->size >= LEAST_CURVE ? SKV_CONTENT_WAVE : SKV_CONTENT_UNKNOWN;
}

static skive_status picture_of(skive_context *ctx, const skive_dataset *ds, bool last, skv_picture *out) {
    char shape[160];
    *out = (skv_picture){.content = drawn_as(ds), .unit = skv_dataset_bytes(ds)};
    skv_content_dims(ds, out->content, last, out->dims);
    if (out->content != SKV_CONTENT_UNKNOWN &&
        (out->content != SKV_CONTENT_IMAGE || out->dims[0] == 1 || out->dims[0] == 3))
        return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "sheet", "%s: its samples, %s, cannot be drawn as pictures or curves",
                       ds->spec, skv_shape_text(ds->rank, ds->dims, shape, sizeof shape));
}

/* ---- labels ---- */

static void class_text(const skive_dataset *ds, int64_t label, char *out, size_t room) {
    if (ds->class_names && label >= 0 && label < ds->classes)
        (void)snprintf(out, room, "%s", ds->class_names[label]);
    else
        (void)snprintf(out, room, "%lld", (long long)label);
}

static void label_text(const skive_dataset *ds, const skive_batch *b, size_t i, char *out, size_t room) {
    out[0] = '\0';
    if (ds->labels && b->y.dtype == SKIVE_I64) {
        class_text(ds, ((const int64_t *)b->y.data)[i], out, room);
    } else if (ds->labels) { /* shares: the two largest classes */
        const float *row = (const float *)b->y.data + (int64_t)i * b->y.dims[1];
        int64_t first = 0, second = -1;
        for (int64_t c = 1; c < b->y.dims[1]; c++) first = row[c] > row[first] ? c : first;
        for (int64_t c = 0; c < b->y.dims[1]; c++)
            if (c != first && row[c] > 0 && (second < 0 || row[c] > row[second])) second = c;
        class_text(ds, first, out, room);
        const size_t used = strlen(out);
        if (second >= 0 && used + 16 < room) {
            (void)snprintf(out + used, room - used, " %.0f%%+", 100 * (double)row[first]);
            class_text(ds, second, out + strlen(out), room - strlen(out));
        }
    } else if (ds->targets && ds->target_size == 1) {
        (void)snprintf(out, room, "%.6g", (double)((const float *)b->y.data)[i]);
    }
}

/* ---- the sheet ---- */

/* ---- masks ---- */

/* Over each pixel of the picture the colour of its class; grey where it is of none. */
static void draw_mask(const skive_dataset *ds, const skv_picture *p, const skive_batch *b, size_t i, int64_t left,
                      int64_t top, skv_canvas *c) {
    static const uint8_t colours[8][3] = {{0, 0, 0},     {230, 60, 50},  {60, 180, 75},  {255, 225, 25},
                                          {0, 130, 200}, {245, 130, 48}, {145, 30, 180}, {70, 240, 240}};
    static const uint8_t none[3] = {128, 128, 128};
    const int64_t *labels = (const int64_t *)b->y.data + i * ds->label_size, h = p->dims[1], w = p->dims[2];
    if ((int64_t)ds->label_size != h * w) return; /* of another size than the picture */
    for (int64_t y = 0; y * p->shrink < h * p->zoom; y++) {
        for (int64_t x = 0; x * p->shrink < w * p->zoom; x++) {
            const int64_t v = y * p->shrink / p->zoom, u = x * p->shrink / p->zoom, label = labels[v * w + u];
            const uint8_t *over = label < 0 ? none : colours[label % 8];
            uint8_t *at = c->pixels + 3 * ((top + y) * c->width + left + x);
            for (int k = 0; k < 3 && label != 0; k++) at[k] = (uint8_t)((at[k] + over[k]) / 2);
        }
    }
}

typedef struct layout {
    int64_t columns, rows, width, height; /* of one picture, with its label */
} layout;

static void draw_one(const skive_dataset *ds, const skv_picture *p, const layout *at, const skive_batch *b, size_t i,
                     float *turned, skv_canvas *c) {
    const int64_t left = GAP + (int64_t)i % at->columns * (at->width + GAP);
    const int64_t top = GAP + (int64_t)i / at->columns * (at->height + LINE + GAP);
    const float *x = (const float *)b->x.data + i * ds->size;
    char text[256];
    if (turned) { /* channels last: put first */
        const size_t channels = (size_t)p->dims[0], plane = ds->size / channels;
        for (size_t k = 0; k < ds->size; k++) turned[k % channels * plane + k / channels] = x[k];
        x = turned;
    }
    skv_picture_draw(p, x, c, left, top);
    if (ds->label_rank) draw_mask(ds, p, b, i, left, top, c);
    label_text(ds, b, i, text, sizeof text);
    skv_canvas_text(c, left, top + at->height + 2, at->width, text);
}

static skive_status draw(skive_context *ctx, const skive_dataset *ds, const skive_sheet_options *o, skive_loader *l,
                         const char *path) {
    const bool last = ds->rank == 3 && ds->channel_axis < 0 && skv_channel_axis_of(ds->rank, ds->dims) == 2;
    skv_picture picture;
    skv_canvas canvas = {0};
    skive_batch batch;
    float *turned = NULL;
    layout at = {.columns = o->columns};
    skive_status status;
    SKV_TRY(picture_of(ctx, ds, last, &picture));
    skv_picture_fit(&picture, &at.width, &at.height);
    SKV_TRY(skive_loader_start_epoch(l, o->epoch));
    SKV_TRY(skive_loader_next(l, &batch));
    if ((int64_t)batch.count < at.columns) at.columns = (int64_t)batch.count;
    at.rows = ((int64_t)batch.count + at.columns - 1) / at.columns;
    SKV_TRY(
        skv_canvas_create(ctx, GAP + at.columns * (at.width + GAP), GAP + at.rows * (at.height + LINE + GAP), &canvas));
    if (last) SKV_GO(status, done, skv_alloc_array(ctx, ds->size, sizeof *turned, &turned));
    for (size_t i = 0; i < batch.count; i++) draw_one(ds, &picture, &at, &batch, i, turned, &canvas);
    status = skv_canvas_write(ctx, &canvas, path);
    if (status == SKIVE_OK && !picture.unit)
        skv_note(ctx, "%s: each picture shows its least value dark and its largest bright", path);
done:
    skv_free(ctx, turned);
    skv_free(ctx, canvas.pixels);
    return status;
}

skive_status skive_data_sheet(skive_context *ctx, const skive_dataset *ds, const skive_sheet_options *options,
                              const char *path) {
    SKV_NEED(ctx, "ctx, dataset, path", ctx, ds, path);
    skive_sheet_options o;
    skive_loader *loader = NULL;
    SKV_TRY(check_options(ctx, options, &o));
    if (ds->count < 1)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "sheet", "%s: the %s split has no samples", ds->spec,
                           skive_split_name(ds->split));
    skive_loader_options l = skive_loader_options_default();
    l.batch = o.samples ? o.samples : 64;
    l.seed = o.seed;
    l.transforms = o.transforms;
    l.shuffle = !o.in_order;
    l.threads = 0;
    SKV_TRY(skive_loader_create(ctx, ds, &l, &loader));
    const skive_status status = draw(ctx, ds, &o, loader, path);
    skive_loader_free(loader);
    return status;
}
