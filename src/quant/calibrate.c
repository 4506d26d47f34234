/* Observing the activations on calibration data: a probe (probe/probe.h) with a histogram of each point.
 *
 * One run in eight (at most 64) is held out: its inputs are kept, and it runs after the others, with separate counts,
 * so that the choice can be checked on samples that had no part in it (kept.c). */
#include <string.h>

#include "probe/probe.h"
#include "quant/quant.h"

enum { PARALLEL_FROM = 1 << 15 };

typedef struct calibration {
    skive_context *ctx;
    const skive_graph *graph;
    const skive_quantize_options *o;
    int bins;
    skv_points *points;
    skv_calibration_data *data;
    skv_probe_item *items; /* [n]; the points that are their own source */
    skv_point **kept;
    size_t n;
    skv_probe *probe;
    skv_histogram *parts; /* [threads]: counts of a thread's part of a tensor, if a run has several threads */
    int threads;
    const skv_kept *again; /* runs that are run again */
    size_t next, bytes;
} calibration;

/* ---- the reducer ---- a histogram, and the range of each run */

static calibration *calibration_of(const skv_reduction *r) { return r->item->user; }

static skv_point *point_of(const skv_reduction *r) {
    const calibration *c = calibration_of(r);
    return c->kept[r->item - c->items];
}

static size_t bytes(const skv_reduction *r) {
    (void)r;
    return skv_histogram_bytes(SKV_BINS_BOTH);
}

static skive_status open_parts(calibration *c, int threads) {
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)threads, sizeof *c->parts, &c->parts));
    for (c->threads = 0; c->threads < threads;) SKV_TRY(skv_histogram_create(c->ctx, c->bins, &c->parts[c->threads++]));
    return SKIVE_OK;
}

static void close_parts(calibration *c) {
    for (int t = 0; c->parts && t < c->threads; t++) skv_histogram_free(c->ctx, &c->parts[t]);
    skv_free(c->ctx, c->parts);
    c->parts = NULL;
}

static skive_status open_counts(skive_context *ctx, const skv_reduction *r, void **state) {
    calibration *c = calibration_of(r);
    if (r->threads > 1 && !c->parts) SKV_TRY(open_parts(c, r->threads));
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof(skv_histogram), state));
    return skv_histogram_create(ctx, c->bins, *state);
}

static void close_counts(skive_context *ctx, const skv_reduction *r, void *state) {
    (void)r;
    skv_histogram_free(ctx, state);
    skv_free(ctx, state);
}

static skive_status add_counts(const skv_reduction *r, void *state, const skv_seen *seen) {
    const calibration *c = calibration_of(r);
    const skv_point *p = point_of(r);
    skv_histogram *h = state;
    h->run = seen->run;
    const bool small = !c->parts || seen->n < PARALLEL_FROM;
    if (small ? skv_histogram_add(h, seen->x, seen->n, seen->padding)
              : skv_histogram_add_parts(h, c->parts, c->threads, seen->x, seen->n, seen->padding)) {
        if (seen->run < SKV_MOST_RUNS) p->runs[seen->run] = (skv_extent){h->last_low, h->last_high};
        return SKIVE_OK;
    }
    return skv_fail_at(seen->ctx, SKIVE_ERR_NUMERIC, p->value->name,
                       "value '%s' was NaN or infinity during calibration, in run %lld of the samples (from 0)%s",
                       p->value->name, (long long)seen->run,
                       p->value->is_input ? ": it is an input, and so the samples are damaged" : "");
}

static void merge_counts(const skv_reduction *r, void *into, void *part) {
    (void)r;
    skv_histogram_merge(into, part);
    skv_histogram_clear(part);
}

static const skv_reducer counts = {.name = "calibration",
                                   .brief = "histogram, and range of each run",
                                   .exact = true,
                                   .anywhere = true,
                                   .bytes = bytes,
                                   .open = open_counts,
                                   .close = close_counts,
                                   .add = add_counts,
                                   .merge = merge_counts};

/* ---- the probe ---- */

skive_plan_options skv_quant_plan_options(const skive_quantize_options *o) {
    skive_plan_options p = skive_plan_options_default();
    p.batch = o->batch;
    p.shapes = o->shapes;
    p.n_shapes = o->n_shapes;
    return p;
}

static skive_status find_kept(calibration *c) {
    SKV_TRY(skv_alloc_array(c->ctx, SKV_MOST_RUNS, sizeof *c->points->spoilt, &c->points->spoilt));
    SKV_TRY(skv_alloc_array(c->ctx, c->points->n, sizeof *c->items, &c->items));
    SKV_TRY(skv_alloc_array(c->ctx, c->points->n, sizeof(skv_point *), &c->kept));
    for (size_t i = 0; i < c->points->n; i++) {
        skv_point *p = &c->points->items[i];
        if (p->source != i) continue;
        SKV_TRY(skv_alloc_array(c->ctx, SKV_MOST_RUNS, sizeof *p->runs, &p->runs));
        for (size_t k = 0; k < SKV_MOST_RUNS; k++) p->runs[k] = (skv_extent){1, -1};
        c->items[c->n] = (skv_probe_item){
            .value = p->value->name, .of = SKV_OF_VALUE, .axis = SKV_IN_ALL, .reducer = &counts, .user = c};
        c->kept[c->n++] = p;
    }
    return SKIVE_OK;
}

/* The counts become the points'; what is counted after it is counted anew, with these bins. */
static skive_status take_counts(calibration *c, bool held, int bins) {
    for (size_t k = 0; k < c->n; k++) {
        skv_histogram *h = skv_probe_state(c->probe, k);
        *(held ? &c->kept[k]->held : &c->kept[k]->seen) = *h;
        *h = (skv_histogram){0};
    }
    close_parts(c);
    c->bins = bins;
    return skv_probe_renew(c->probe);
}

/* ---- running ---- */

typedef struct feeding {
    calibration *c;
    skive_feed_fn feed;
    void *user;
} feeding;

static skive_status feed_run(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs) {
    const feeding *f = user;
    calibration *c = f->c;
    bool calibrates;
    SKV_TRY(f->feed(f->user, *run, inputs, n_inputs));
    SKV_TRY(skv_quant_sort_run(c->ctx, c->graph, *run, inputs, c->data, &calibrates));
    c->data->samples += c->o->batch;
    if (!calibrates) *run = -1;
    return SKIVE_OK;
}

static skive_status run_all(calibration *c, skive_feed_fn feed, void *user, int64_t runs) {
    feeding f = {c, feed, user};
    const skv_probe_pass pass = {
        .feed = feed_run, .user = &f, .runs = runs, .what = "calibrate", .detail = c->o->calibration};
    SKV_TRY(skv_probe_run(c->probe, &pass, NULL));
    return c->data->samples ? SKIVE_OK : SKV_FAIL(c->ctx, SKIVE_ERR_DATA, "there are no calibration samples");
}

static skive_status feed_again(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs) {
    const calibration *c = user;
    const skv_kept_run *r = &c->again->runs[*run];
    *run = r->index;
    for (size_t i = 0; i < n_inputs; i++) memcpy(inputs[i].data, r->inputs[i].data, skive_tensor_bytes(&inputs[i]));
    return SKIVE_OK;
}

static skive_status copy_outputs(void *user, int64_t run, skive_exec *exec) {
    calibration *c = user;
    skv_kept_run *r = &c->again->runs[c->next++];
    (void)run;
    if (c->bytes > SKV_MOST_KEPT) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)c->graph->n_outputs + 1, sizeof *r->outputs, &r->outputs));
    for (uint32_t i = 0; i < c->graph->n_outputs; i++) {
        skive_tensor view;
        SKV_TRY(skive_exec_output(exec, i, &view));
        SKV_TRY(skive_tensor_copy(c->ctx, &view, &r->outputs[i]));
        c->bytes += skive_tensor_bytes(&view);
    }
    return SKIVE_OK;
}

static skive_status run_again(calibration *c, const skv_kept *k, bool blind) {
    const skv_probe_pass pass = {
        .feed = feed_again, .user = c, .runs = (int64_t)k->n, .ran = copy_outputs, .blind = blind};
    c->again = k;
    c->next = c->bytes = 0;
    return skv_probe_run(c->probe, &pass, NULL);
}

/* Runs the float model on the kept runs; those held out are counted separately. */
static skive_status run_kept(calibration *c) {
    SKV_TRY(take_counts(c, false, c->bins | SKV_BINS_RELATIVE));
    SKV_TRY(run_again(c, &c->data->check, false));
    SKV_TRY(take_counts(c, true, SKV_BINS_NONE));
    skv_quant_find_spoilt(c->points);
    return run_again(c, &c->data->probe, true);
}

skive_status skv_quant_calibrate(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o, int bins,
                                 skive_feed_fn feed, void *user, skv_points *points, skv_calibration_data *data) {
    calibration c = {.ctx = ctx, .graph = g, .o = o, .bins = bins, .points = points, .data = data};
    const int64_t runs = o->samples / o->batch + (o->samples % o->batch != 0);
    skive_status status;
    skv_quant_start_sorting(data, runs);
    SKV_GO(status, done, find_kept(&c));
    const skv_probe_setup setup = {
        .graph = g, .items = c.items, .n_items = c.n, .plan = skv_quant_plan_options(o), .runs = runs};
    SKV_GO(status, done, skv_probe_open(ctx, &setup, &c.probe));
    SKV_GO(status, done, run_all(&c, feed, user, runs));
    SKV_GO(status, done, run_kept(&c));
done:
    skv_probe_free(c.probe);
    close_parts(&c);
    skv_free(ctx, c.items);
    skv_free(ctx, c.kept);
    return status;
}
