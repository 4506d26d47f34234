/* Static quantization: clean and fold, watch the activations on calibration data, choose grids, write Q/DQ. */
#include <math.h>
#include <string.h>

#include "graph/shared.h"
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
    for (size_t i = 0; i < r->n_left; i++) {
        skv_free(ctx, r->left[i].op);
        skv_free(ctx, r->left[i].reason);
        skv_free(ctx, r->left[i].nodes);
    }
    skv_free(ctx, r->left);
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
        return skv_fail_unknown(q->ctx, SKIVE_ERR_ARGUMENT, "calibration", "calibration method", o->calibration,
                                skv_observer_name);
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
    SKV_TRY(skv_shared_inflate_all(q->work));
    SKV_TRY(skive_graph_infer(q->work));
    SKV_TRY(skv_quant_check_skip(q->ctx, q->work, q->o));
    SKV_TRY(skv_quant_check_weights(q->ctx, q->work));
    SKV_TRY(skv_passes_run(&env, q->work, SKV_PASS_CLEAN | SKV_PASS_INFERENCE, &changes));
    SKV_TRY(skive_graph_infer(q->work));
    SKV_TRY(skv_alloc_array(q->ctx, (size_t)q->work->n_nodes + 1, 1, &q->chosen));
    SKV_TRY(skv_quant_points(q->ctx, q->work, q->o, q->chosen, &q->points, &q->report));
    if (q->points.n == 0) return SKV_FAIL(q->ctx, SKIVE_ERR_UNSUPPORTED, "the model has no node that can be quantized");
    return SKIVE_OK;
}

static skive_status choose_grids(quantization *q) {
    double(*range)[2] = NULL;
    SKV_TRY(skv_alloc_array(q->ctx, q->points.n, sizeof *range, &range));
#pragma omp parallel for num_threads(skv_threads(q->ctx)) schedule(dynamic)
    for (size_t k = 0; k < q->points.n; k++) {
        const skv_point *p = &q->points.items[k];
        if (p->source == k && p->seen.reach > 0) q->observer->choose(&p->seen, q->o, &range[k][0], &range[k][1]);
    }
    skive_status status = SKIVE_OK;
    for (size_t k = 0; status == SKIVE_OK && k < q->points.n; k++) {
        skv_point *p = &q->points.items[k];
        if (p->source != k) continue;
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
    skv_free(q->ctx, q->points.items);
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
    SKV_GO(status, done, skv_quant_calibrate(ctx, q.work, q.o, q.observer, feed, user, &q.points, &q.report.samples));
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
