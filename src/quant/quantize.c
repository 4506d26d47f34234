/* Static quantization: clean and fold, watch the activations on calibration data, choose grids, write Q/DQ. */
#include <math.h>
#include <string.h>

#include "passes/pass.h"
#include <skive/eval.h>

#include "quant/quant.h"

typedef struct quantization {
    skive_context *ctx;
    const skive_quantize_options *o;
    const skv_observer *observer;
    skive_graph *work;
    bool *chosen; /* by node id */
    skv_points points;
    const char **keep; /* names of the points that are their own source */
    size_t *kept;      /* their indices */
    size_t n_keep;
    skv_histogram *parts; /* [threads]: a thread's share of a tensor */
    int threads;
    skive_quantize_report report;
} quantization;

skive_quantize_options skive_quantize_options_default(void) {
    return (skive_quantize_options){.size = sizeof(skive_quantize_options),
                                    .calibration = "entropy",
                                    .percentile = 99.99,
                                    .samples = 1000,
                                    .batch = 1,
                                    .per_channel = true};
}

void skive_quantize_report_free(skive_context *ctx, skive_quantize_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_rows; i++) skv_free(ctx, r->rows[i].name);
    for (size_t i = 0; i < r->n_refused; i++) skv_free(ctx, r->refused[i]);
    skv_free(ctx, r->rows);
    skv_free(ctx, r->refused);
    *r = (skive_quantize_report){0};
}

skive_status skv_quant_add_row(skive_context *ctx, skive_quantize_report *r, const skive_quantize_row *row,
                               const char *name) {
    SKV_TRY(skv_grow(ctx, &r->rows, r->n_rows, r->n_rows + 1, sizeof *r->rows));
    r->rows[r->n_rows] = *row;
    SKV_TRY(skv_strdup(ctx, name, &r->rows[r->n_rows].name));
    r->n_rows++;
    return SKIVE_OK;
}

static skive_status check(quantization *q) {
    const skive_quantize_options *o = q->o;
    q->observer = skv_observer_find(o->calibration);
    if (!q->observer) {
        return skv_fail_at(q->ctx, SKIVE_ERR_ARGUMENT, "calibration", "no calibration method '%s'", o->calibration);
    }
    if (!(o->percentile > 50 && o->percentile <= 100)) {
        return skv_fail_at(q->ctx, SKIVE_ERR_ARGUMENT, "percentile",
                           "the percentile is %g; it must lie above 50 and at most 100", o->percentile);
    }
    if (o->samples < 1 || o->batch < 1) {
        return skv_fail_at(q->ctx, SKIVE_ERR_ARGUMENT, "samples",
                           "calibration needs at least 1 sample and a batch of 1");
    }
    return SKIVE_OK;
}

static bool already_quantized(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (skv_node_is(g->nodes[i], "QuantizeLinear") || skv_node_is(g->nodes[i], "DequantizeLinear")) return true;
    }
    return false;
}

static skive_status prepare_graph(quantization *q, const skive_graph *graph) {
    const skv_pass_env env = {.ctx = q->ctx};
    size_t changes;
    if (already_quantized(graph)) {
        return SKV_FAIL(q->ctx, SKIVE_ERR_ARGUMENT, "the model is already quantized; start from the float model");
    }
    SKV_TRY(skive_graph_copy(q->ctx, graph, &q->work));
    SKV_TRY(skive_graph_infer(q->work));
    SKV_TRY(skv_passes_run(&env, q->work, SKV_PASS_CLEAN | SKV_PASS_INFERENCE, &changes));
    SKV_TRY(skive_graph_infer(q->work));
    SKV_TRY(skv_alloc_array(q->ctx, (size_t)q->work->n_nodes + 1, 1, &q->chosen));
    SKV_TRY(skv_quant_points(q->ctx, q->work, q->o, q->chosen, &q->points, &q->report));
    if (q->points.n == 0) return SKV_FAIL(q->ctx, SKIVE_ERR_UNSUPPORTED, "the model has no node that can be quantized");
    return SKIVE_OK;
}

static skive_status make_histograms(quantization *q) {
    const bool bins = q->observer->needs_bins;
    SKV_TRY(skv_alloc_array(q->ctx, q->points.n, sizeof *q->keep, &q->keep));
    SKV_TRY(skv_alloc_array(q->ctx, q->points.n, sizeof *q->kept, &q->kept));
    for (size_t i = 0; i < q->points.n; i++) {
        if (q->points.items[i].source != i) continue;
        SKV_TRY(skv_histogram_create(q->ctx, bins, &q->points.items[i].seen));
        q->keep[q->n_keep] = q->points.items[i].value->name;
        q->kept[q->n_keep++] = i;
    }
    q->threads = skv_threads(q->ctx);
    SKV_TRY(skv_alloc_array(q->ctx, (size_t)q->threads, sizeof *q->parts, &q->parts));
    for (int t = 0; t < q->threads; t++) SKV_TRY(skv_histogram_create(q->ctx, bins, &q->parts[t]));
    return SKIVE_OK;
}

enum { PARALLEL_FROM = 1 << 15 };

/* A large tensor is cut among the threads; merging their counts is exact, so the number of threads changes nothing. */
static bool add_in_parts(quantization *q, skv_histogram *seen, const float *x, size_t n, size_t padding) {
    const int threads = q->threads;
    bool fine = true;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : fine)
    for (int k = 0; k < threads; k++) {
        const size_t first = n * (size_t)k / (size_t)threads, last = n * (size_t)(k + 1) / (size_t)threads;
        skv_histogram *part = &q->parts[k];
        uint64_t *bins = part->bins;
        *part = (skv_histogram){.bins = bins};
        if (bins) memset(bins, 0, SKV_HISTOGRAM_BINS * sizeof *bins);
        fine = skv_histogram_add(part, x + first, last - first, 0) && fine;
    }
    if (!fine) return false;
    for (int k = 0; k < threads; k++) skv_histogram_merge(seen, &q->parts[k]);
    skv_histogram_forget_zeros(seen, padding);
    return true;
}

static skive_status observe(void *user, size_t index, const skive_tensor *t) {
    quantization *q = user;
    skv_point *p = &q->points.items[q->kept[index]];
    const size_t n = (size_t)skive_tensor_count(t);
    /* The plan's batch is o->batch; what is stored beyond the value's own elements is padding. */
    int64_t real = skv_type_count(&p->value->type);
    if (p->value->type.rank > 0 && p->value->type.dims[0].size < 0) real *= q->o->batch;
    const size_t padding = real >= 0 && (size_t)real < n ? n - (size_t)real : 0;
    const bool small = q->threads == 1 || n < PARALLEL_FROM;
    if (small ? skv_histogram_add(&p->seen, t->data, n, padding) : add_in_parts(q, &p->seen, t->data, n, padding)) {
        return SKIVE_OK;
    }
    return skv_fail_at(q->ctx, SKIVE_ERR_NUMERIC, p->value->name, "value '%s' held NaN or infinity during calibration",
                       p->value->name);
}

static skive_status run_calibration(quantization *q, skive_feed_fn feed, void *user) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor *inputs = NULL;
    skv_progress progress;
    skive_status status;
    const int64_t runs = (q->o->samples + q->o->batch - 1) / q->o->batch;
    o.keep = q->keep;
    o.n_keep = q->n_keep;
    o.batch = q->o->batch;
    o.keep_layout = true;
    SKV_GO(status, done, skive_plan_create(q->ctx, q->work, &o, &plan));
    SKV_GO(status, done, skive_exec_create(q->ctx, plan, &exec));
    SKV_GO(status, done, skv_alloc_array(q->ctx, (size_t)q->work->n_inputs + 1, sizeof *inputs, &inputs));
    for (uint32_t i = 0; i < q->work->n_inputs; i++) SKV_GO(status, done, skive_exec_input(exec, i, &inputs[i]));
    skive_exec_set_tap(exec, observe, q);
    skv_progress_start(&progress, q->ctx, "calibrate", (double)runs);
    for (int64_t i = 0; i < runs; i++) {
        status = feed(user, i, inputs, q->work->n_inputs);
        if (status == SKIVE_ERR_NOT_FOUND) {
            status = SKIVE_OK;
            break;
        }
        if (status != SKIVE_OK) goto done;
        SKV_GO(status, done, skive_exec_run(exec));
        q->report.samples += q->o->batch;
        SKV_GO(status, done, skv_progress_at(&progress, (double)i + 1, "%s", q->observer->name));
    }
    if (q->report.samples == 0) status = SKV_FAIL(q->ctx, SKIVE_ERR_DATA, "there are no calibration samples");
done:
    skv_free(q->ctx, inputs);
    skive_exec_free(exec);
    skive_plan_free(plan);
    return status;
}

static skive_status choose_grids(quantization *q) {
    double(*range)[2] = NULL;
    SKV_TRY(skv_alloc_array(q->ctx, q->points.n, sizeof *range, &range));
    const int threads = q->threads;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (size_t k = 0; k < q->n_keep; k++) {
        const skv_histogram *h = &q->points.items[q->kept[k]].seen;
        if (h->reach > 0) q->observer->choose(h, q->o, &range[k][0], &range[k][1]);
    }
    skive_status status = SKIVE_OK;
    for (size_t k = 0; status == SKIVE_OK && k < q->n_keep; k++) {
        skv_point *p = &q->points.items[q->kept[k]];
        p->grid = skv_affine_u8(range[k][0], range[k][1]);
        const double scale = (double)p->grid.scale, low = -scale * p->grid.zero_point;
        skive_quantize_row row = {
            .lo = p->seen.low, .hi = p->seen.high, .scale = scale, .zero_point = p->grid.zero_point, .sqnr = NAN};
        if (p->seen.bins && p->seen.reach > 0) {
            const double error = skv_histogram_error(&p->seen, low, low + 255 * scale, 256);
            row.sqnr = error > 0 ? 10 * log10(skv_histogram_power(&p->seen) / error) : INFINITY;
        }
        status = skv_quant_add_row(q->ctx, &q->report, &row, p->value->name);
    }
    for (size_t i = 0; i < q->points.n; i++) q->points.items[i].grid = q->points.items[q->points.items[i].source].grid;
    skv_free(q->ctx, range);
    return status;
}

static void clean_up(quantization *q) {
    for (size_t i = 0; i < q->points.n; i++) skv_histogram_free(q->ctx, &q->points.items[i].seen);
    for (int t = 0; q->parts && t < q->threads; t++) skv_histogram_free(q->ctx, &q->parts[t]);
    skv_free(q->ctx, q->parts);
    skv_free(q->ctx, q->points.items);
    skv_free(q->ctx, q->keep);
    skv_free(q->ctx, q->kept);
    skv_free(q->ctx, q->chosen);
    skive_graph_free(q->work);
}

skive_status skive_quantize_feed(skive_context *ctx, skive_graph *graph, skive_feed_fn feed, void *user,
                                 const skive_quantize_options *options, skive_quantize_report *report) {
    const skive_quantize_options defaults = skive_quantize_options_default();
    quantization q = {.ctx = ctx, .o = options ? options : &defaults};
    const double started = skv_now();
    skive_status status;
    SKV_GO(status, done, check(&q));
    SKV_GO(status, done, prepare_graph(&q, graph));
    SKV_GO(status, done, make_histograms(&q));
    SKV_GO(status, done, run_calibration(&q, feed, user));
    SKV_GO(status, done, choose_grids(&q));
    SKV_GO(status, done, skv_quant_insert(ctx, q.work, q.o, q.chosen, &q.points, &q.report));
    skive_graph_take(graph, q.work);
    q.work = NULL;
    q.report.seconds = skv_now() - started;
done:
    clean_up(&q);
    if (status == SKIVE_OK && report) {
        *report = q.report;
    } else {
        skive_quantize_report_free(ctx, &q.report);
        if (report) *report = (skive_quantize_report){0};
    }
    return status;
}

/* ---- calibration from a data set ---- */

typedef struct loader_feed {
    skive_loader *loader;
    size_t batch;
} loader_feed;

static skive_status feed_from_loader(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs) {
    loader_feed *f = user;
    skive_batch batch;
    (void)index;
    (void)n_inputs;
    SKV_TRY(skive_loader_next(f->loader, &batch));
    if (batch.end || batch.count < f->batch) return SKIVE_ERR_NOT_FOUND;
    memcpy(inputs[0].data, batch.x.data, skive_tensor_bytes(&inputs[0]));
    return SKIVE_OK;
}

static skive_status check_data(skive_context *ctx, const skive_graph *g, const skive_dataset_info *info) {
    const skive_type *t = &g->inputs[0]->type;
    int64_t size = t->rank > 0 ? 1 : 0;
    for (int d = 1; d < t->rank; d++) size *= t->dims[d].size;
    if (g->n_inputs == 1 && t->dtype == SKIVE_F32 && size == (int64_t)info->sample_size) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, info->spec,
                       "%s: a sample has %zu values; the model's input '%s' takes %lld", info->spec, info->sample_size,
                       g->inputs[0]->name, (long long)size);
}

skive_status skive_quantize(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                            const skive_quantize_options *options, skive_quantize_report *report) {
    skive_quantize_options o = options ? *options : skive_quantize_options_default();
    skive_normalization normalization;
    skive_dataset_info info;
    loader_feed feed = {0};
    if (report) *report = (skive_quantize_report){0};
    if (graph->n_inputs < 1) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the model has no input");
    skive_dataset_get_info(calibration, &info);
    SKV_TRY(check_data(ctx, graph, &info));
    SKV_TRY(skive_model_normalization(graph, &normalization));
    const int64_t fixed = graph->inputs[0]->type.dims[0].size;
    if (fixed > 0) o.batch = fixed;
    skive_loader_options l = skive_loader_options_default();
    l.batch = feed.batch = (size_t)(o.batch > 0 ? o.batch : 1);
    l.normalization = &normalization;
    SKV_TRY(skive_loader_create(ctx, calibration, &l, &feed.loader));
    skive_status status = skive_loader_start_epoch(feed.loader, 0);
    if (status == SKIVE_OK) status = skive_quantize_feed(ctx, graph, feed_from_loader, &feed, &o, report);
    skive_loader_free(feed.loader);
    return status;
}
