/* Calibration from arrays for the model's inputs, and from a data set. */
#include <string.h>

#include "data/feed.h"
#include "graph/batch.h"
#include "graph/unknown.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

/* ---- arrays ---- */

/* How an input is fed: `rows` entries of the first axis per run, or one whole input per run, or the same in each
 * run. */
typedef struct source {
    skive_tensor owned; /* converted to the input's type; no data: not converted */
    const skive_tensor *t;
    int64_t rows, runs;
    bool whole;
    skive_shape_binding shape;
} source;

typedef struct array_feed {
    skive_context *ctx;
    source *sources;
    size_t n;
    int64_t runs, used; /* number of samples used, evenly spaced */
} array_feed;

static skive_status wrong_shape(skive_context *ctx, const skive_value *v, const skive_tensor *t, const char *why) {
    char type[160];
    skv_text dims;
    skv_text_init(&dims, ctx);
    skv_text_add(&dims, "[");
    for (int d = 0; d < t->rank; d++) skv_text_add(&dims, "%s%lld", d ? "," : "", (long long)t->dims[d]);
    skv_text_add(&dims, "]");
    skive_status status = dims.status;
    skv_type_text(&v->type, type, sizeof type);
    if (status == SKIVE_OK)
        status =
            skv_fail_at(ctx, SKIVE_ERR_SHAPE, v->name, "the samples for input '%s' are %s, but the input is %s: %s",
                        v->name, dims.data, type, why);
    skv_text_free(&dims);
    return status;
}

static skive_status open_source(skive_context *ctx, const skive_value *v, const skive_tensor *t, int64_t batch,
                                source *s) {
    const int rank = v->type.rank < 0 ? t->rank : v->type.rank;
    s->t = t;
    s->whole = t->rank == rank + 1;
    if (t->rank != rank && !s->whole) return wrong_shape(ctx, v, t, "the first axis counts the samples");
    if (skive_tensor_count(t) <= 0) return wrong_shape(ctx, v, t, "there are no samples");
    if (t->dtype != v->type.dtype) {
        skv_note(ctx, "input '%s': the samples are %s and are converted to %s", v->name, skive_dtype_name(t->dtype),
                 skive_dtype_name(v->type.dtype));
        SKV_TRY(skv_tensor_convert(ctx, t, v->type.dtype, &s->owned));
        s->t = &s->owned;
    }
    const int64_t fixed = rank > 0 && v->type.rank > 0 ? v->type.dims[0].size : -1;
    s->rows = s->whole || rank == 0 ? 1 : fixed > 0 ? fixed : batch < t->dims[0] ? batch : t->dims[0];
    s->runs = t->rank == 0 ? 1 : s->whole ? t->dims[0] : (t->dims[0] + s->rows - 1) / s->rows;
    s->shape = (skive_shape_binding){.input = v->name, .rank = rank};
    for (int d = 0; d < rank; d++) {
        const int64_t given = s->whole ? t->dims[d + 1] : d == 0 ? s->rows : t->dims[d];
        const int64_t wanted = v->type.rank > 0 ? v->type.dims[d].size : -1;
        if (wanted >= 0 && wanted != given) return wrong_shape(ctx, v, t, "they do not match");
        s->shape.dims[d] = given;
    }
    return SKIVE_OK;
}

/* An incomplete run is filled up with the first samples. */
static void copy_rows(const source *s, int64_t run, skive_tensor *to) {
    const size_t bytes = skive_tensor_bytes(to), row = bytes / (size_t)s->rows;
    const int64_t total = s->t->rank > 0 ? s->t->dims[0] : 1;
    for (int64_t k = 0; k < s->rows; k++) {
        const int64_t at = s->runs == 1 && total <= s->rows ? k % total : (run % s->runs * s->rows + k) % total;
        memcpy((char *)to->data + (size_t)k * row, (const char *)s->t->data + (size_t)at * row, row);
    }
}

static skive_status feed_arrays(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs) {
    const array_feed *f = user;
    if (index >= f->used) return SKIVE_ERR_NOT_FOUND;
    const int64_t run = (int64_t)((double)index * (double)f->runs / (double)f->used);
    for (size_t i = 0; i < n_inputs; i++) copy_rows(&f->sources[i], run, &inputs[i]);
    return SKIVE_OK;
}

/* All inputs must give the same number of runs, or a single sample that is used in all. */
static skive_status count_runs(array_feed *f, const skive_graph *g) {
    size_t longest = 0;
    for (size_t i = 0; i < f->n; i++) longest = f->sources[i].runs > f->sources[longest].runs ? i : longest;
    f->runs = f->sources[longest].runs;
    for (size_t i = 0; i < f->n; i++) {
        if (f->sources[i].runs == f->runs) continue;
        if (f->sources[i].runs == 1) {
            skv_note(f->ctx, "input '%s': the only sample is used in all %lld runs", g->inputs[i]->name,
                     (long long)f->runs);
            continue;
        }
        return skv_fail_at(f->ctx, SKIVE_ERR_SHAPE, g->inputs[i]->name,
                           "input '%s' has samples for %lld runs, but input '%s' for %lld", g->inputs[i]->name,
                           (long long)f->sources[i].runs, g->inputs[longest]->name, (long long)f->runs);
    }
    return SKIVE_OK;
}

skive_status skive_quantize_arrays(skive_context *ctx, skive_graph *graph, const skive_tensor *samples,
                                   size_t n_samples, const skive_quantize_options *options,
                                   skive_quantize_report *report) {
    SKV_NEED(ctx, "ctx, graph, samples", ctx, graph, samples || !n_samples);
    skive_quantize_options o = skive_quantize_options_default();
    array_feed f = {.ctx = ctx, .n = graph->n_inputs};
    skive_shape_binding *shapes = NULL;
    skive_status status = SKIVE_OK;
    int64_t rows = 0;
    if (report) *report = (skive_quantize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", options, &o, sizeof o));
    if (!samples || n_samples != graph->n_inputs || n_samples == 0)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the model has %u inputs, but samples are given for %zu",
                        graph->n_inputs, n_samples);
    SKV_GO(status, done, skv_alloc_array(ctx, f.n, sizeof *f.sources, &f.sources));
    SKV_GO(status, done, skv_alloc_array(ctx, f.n, sizeof *shapes, &shapes));
    for (size_t i = 0; i < f.n; i++) {
        if (samples[i].rank == graph->inputs[i]->type.rank + 1) o.batch = 1; /* one whole input per run */
    }
    for (size_t i = 0; i < f.n; i++) {
        SKV_GO(status, done, open_source(ctx, graph->inputs[i], &samples[i], o.batch > 0 ? o.batch : 1, &f.sources[i]));
        shapes[i] = f.sources[i].shape;
    }
    SKV_GO(status, done, count_runs(&f, graph));
    for (size_t i = 0; i < f.n; i++) {
        if (f.sources[i].runs == f.runs && !f.sources[i].whole && f.sources[i].rows > rows) rows = f.sources[i].rows;
    }
    o.batch = rows > 0 ? rows : 1;
    if (o.samples > f.runs * o.batch) o.samples = f.runs * o.batch;
    f.used = o.samples / o.batch + (o.samples % o.batch != 0);
    o.shapes = shapes;
    o.n_shapes = f.n;
    status = skive_quantize_feed(ctx, graph, feed_arrays, &f, &o, report);
    if (status == SKIVE_OK && report && report->outlier.name)
        report->outlier.run = (int64_t)((double)report->outlier.run * (double)f.runs / (double)f.used) * o.batch;
done:
    for (size_t i = 0; f.sources && i < f.n; i++) skive_tensor_free(ctx, &f.sources[i].owned);
    skv_free(ctx, f.sources);
    skv_free(ctx, shapes);
    return status;
}

/* ---- a data set ---- */

typedef struct loader_feed {
    skive_context *ctx;
    skv_feeds feeds;
    skive_loader *loader;
    size_t batch;
    size_t *origin; /* [runs] first sample of each */
    size_t runs;
} loader_feed;

/* An incomplete last batch is filled up with its first samples. */
static skive_status feed_from_loader(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs) {
    loader_feed *f = user;
    skive_batch batch;
    (void)n_inputs;
    if (index == 0) SKV_TRY(skive_loader_start_epoch(f->loader, 0)); /* the samples may be read more than once */
    SKV_TRY(skive_loader_next(f->loader, &batch));
    if (batch.end || batch.count == 0) return SKIVE_ERR_NOT_FOUND;
    for (size_t i = 0; i < f->feeds.n; i++) {
        const skv_feed *one = &f->feeds.items[i];
        const skive_tensor *to = &inputs[one->index], *from = &batch.inputs[i];
        SKV_TRY(skv_feed_copy(f->ctx, one->input, from, to));
        const size_t row = skive_tensor_bytes(to) / f->batch;
        for (size_t k = batch.count; k < f->batch; k++)
            memcpy((char *)to->data + k * row, (const char *)from->data + k % batch.count * row, row);
    }
    if ((size_t)index < f->runs) f->origin[index] = batch.indices[0];
    return SKIVE_OK;
}

/* The caller's sizes of open dimensions must be those of the samples. */
static skive_status check_shape(skive_context *ctx, const skive_shape_binding *s, const skive_graph *g,
                                const skive_shape_binding *all, size_t n, const skive_dataset_info *info) {
    const skive_shape_binding *is = NULL;
    char told[160], found[160];
    for (size_t i = 0; i < n && !is; i++) is = strcmp(s->input, all[i].input) == 0 ? &all[i] : NULL;
    if (!is && n == 1)
        return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, s->input,
                           "a shape is given for '%s', but the model's input is '%s'", s->input, all[0].input);
    if (!is) return skv_fail_no_input(ctx, SKIVE_ERR_NOT_FOUND, g, s->input);
    bool same = s->rank == is->rank;
    for (int d = 1; same && d < s->rank; d++) same = s->dims[d] == is->dims[d];
    if (same) return SKIVE_OK;
    skv_shape_text(s->rank, s->dims, told, sizeof told);
    skv_shape_text(is->rank, is->dims, found, sizeof found);
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, s->input,
                       "input '%s': the given shape is %s, but the samples of %s are %s", s->input, told, info->spec,
                       found);
}

skive_status skv_quantize_set(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                              const skive_quantize_options *options, skive_quantize_report *report,
                              const skv_quant_control *control) {
    skive_quantize_options o = skive_quantize_options_default();
    skive_dataset_info info;
    skive_shape_binding *shapes = NULL;
    loader_feed feed = {.ctx = ctx};
    skive_status status;
    if (report) *report = (skive_quantize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", options, &o, sizeof o));
    skive_dataset_get_info(calibration, &info);
    const int64_t fixed = skv_graph_fixed_batch(graph);
    if (fixed > 0) o.batch = fixed;
    if (o.batch < 1) o.batch = 1;
    SKV_TRY(skv_feeds_make(ctx, graph, &info, &feed.feeds));
    skv_feeds_tell(&feed.feeds, "model");
    SKV_GO(status, done, skv_feeds_shapes(&feed.feeds, o.batch, &shapes));
    for (size_t i = 0; i < o.n_shapes; i++)
        SKV_GO(status, done, check_shape(ctx, &o.shapes[i], graph, shapes, feed.feeds.n, &info));
    if (o.samples > 0 && (size_t)o.samples > info.count) o.samples = (int64_t)(info.count ? info.count : 1);
    o.shapes = shapes;
    o.n_shapes = feed.feeds.n;
    skive_loader_options l = skive_loader_options_default();
    l.batch = feed.batch = (size_t)o.batch;
    feed.runs = o.samples > 0 ? (size_t)(o.samples / o.batch + 1) : 0;
    SKV_GO(status, done, skv_alloc_array(ctx, feed.runs + 1, sizeof *feed.origin, &feed.origin));
    SKV_GO(status, done, skv_feeds_loader(ctx, &feed.feeds, calibration, &l, &feed.loader));
    status = skv_quantize_feed(ctx, graph, feed_from_loader, &feed, &o, report, control);
    if (status == SKIVE_OK && report && report->outlier.name && (size_t)report->outlier.run < feed.runs)
        report->outlier.run = (int64_t)skive_dataset_origin(calibration, feed.origin[report->outlier.run]);
done:
    skive_loader_free(feed.loader);
    skv_feeds_free(&feed.feeds);
    skv_free(ctx, feed.origin);
    skv_free(ctx, shapes);
    return status;
}

skive_status skive_quantize(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                            const skive_quantize_options *options, skive_quantize_report *report) {
    SKV_NEED(ctx, "ctx, graph, calibration", ctx, graph, calibration);
    return skv_quantize_set(ctx, graph, calibration, options, report, NULL);
}
