/* Observing the activations on calibration data.
 *
 * If memory allows, as many runs execute in parallel as there are threads, each on one thread and with its own counts:
 * the threads then synchronise once per run and not in every node, and a tensor is counted while it is still in the
 * cache of the core that computed it. Run i is always done by worker i mod n, and merging the counts is exact, so the
 * result does not depend on timing. Memory is that of the plan, the workers' arenas and the counts, independent of the
 * number of samples.
 *
 * One run in eight (at most 64) is held out: its inputs are kept, and it runs after the others, with separate counts,
 * so that the choice can be checked on samples that had no part in it (kept.c). */
#include <string.h>

#include "quant/quant.h"

enum { PARALLEL_FROM = 1 << 15 };
/* limit for all workers together; above it, one run at a time uses all threads */
#define MEMORY_AT_ONCE ((size_t)128 << 20)

struct calibration;

typedef struct worker {
    struct calibration *c;
    skive_context *ctx;
    skive_exec *exec;
    int64_t run;
    skive_tensor *inputs;
    skv_histogram *seen; /* [n_keep] */
    skive_status status;
} worker;

typedef struct calibration {
    skive_context *ctx;
    const skive_graph *graph;
    const skive_quantize_options *o;
    int bins;
    skv_points *points;
    skv_calibration_data *data;
    const char **keep; /* names of the points that are their own source */
    size_t *kept;      /* their indices */
    size_t n_keep;
    int threads; /* of one run */
    skive_plan *plan;
    skv_histogram *parts; /* [threads]: counts of a thread's part of a tensor, if a run has several threads */
    worker *workers;
    size_t n_workers;
} calibration;

static skive_status find_kept(calibration *c) {
    SKV_TRY(skv_alloc_array(c->ctx, SKV_MOST_RUNS, sizeof *c->points->spoilt, &c->points->spoilt));
    SKV_TRY(skv_alloc_array(c->ctx, c->points->n, sizeof *c->keep, &c->keep));
    SKV_TRY(skv_alloc_array(c->ctx, c->points->n, sizeof *c->kept, &c->kept));
    for (size_t i = 0; i < c->points->n; i++) {
        if (c->points->items[i].source != i) continue;
        SKV_TRY(skv_histogram_create(c->ctx, c->bins, &c->points->items[i].seen));
        SKV_TRY(skv_histogram_create(c->ctx, c->bins | SKV_BINS_RELATIVE, &c->points->items[i].held));
        skv_extent **runs = &c->points->items[i].runs;
        SKV_TRY(skv_alloc_array(c->ctx, SKV_MOST_RUNS, sizeof **runs, runs));
        for (size_t k = 0; k < SKV_MOST_RUNS; k++) (*runs)[k] = (skv_extent){1, -1};
        c->keep[c->n_keep] = c->points->items[i].value->name;
        c->kept[c->n_keep++] = i;
    }
    return SKIVE_OK;
}

skive_plan_options skv_quant_plan_options(const skive_quantize_options *o) {
    skive_plan_options p = skive_plan_options_default();
    p.batch = o->batch;
    p.shapes = o->shapes;
    p.n_shapes = o->n_shapes;
    return p;
}

static skive_status make_plan(calibration *c, int threads) {
    skive_plan_options o = skv_quant_plan_options(c->o);
    o.keep = c->keep;
    o.n_keep = c->n_keep;
    o.keep_layout = true;
    o.threads = c->threads = threads;
    return skive_plan_create(c->ctx, c->graph, &o, &c->plan);
}

/* A large tensor is divided among the threads of a run. */
static bool add_in_parts(calibration *c, skv_histogram *seen, const float *x, size_t n, size_t padding) {
    const int threads = c->threads;
    bool fine = true;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : fine)
    for (int k = 0; k < threads; k++) {
        const size_t first = n * (size_t)k / (size_t)threads, last = n * (size_t)(k + 1) / (size_t)threads;
        skv_histogram *part = &c->parts[k];
        skv_histogram_clear(part);
        part->run = seen->run;
        fine = skv_histogram_add(part, x + first, last - first, 0) && fine;
    }
    if (!fine) return false;
    for (int k = 0; k < threads; k++) {
        const skv_histogram *part = &c->parts[k];
        if (k == 0 || part->last_low < seen->last_low) seen->last_low = part->last_low;
        if (k == 0 || part->last_high > seen->last_high) seen->last_high = part->last_high;
        skv_histogram_merge(seen, part);
    }
    skv_histogram_forget_zeros(seen, padding);
    return true;
}

static skive_status observe(void *user, size_t index, const skive_tensor *t) {
    worker *w = user;
    calibration *c = w->c;
    const skive_value *v = c->points->items[c->kept[index]].value;
    skv_histogram *seen = &w->seen[index];
    const size_t n = (size_t)skive_tensor_count(t);
    seen->run = w->run;
    /* The plan's batch is o->batch; elements stored beyond those of the value are padding. */
    int64_t real = skv_type_count(&v->type);
    if (v->type.rank > 0 && v->type.dims[0].size < 0) real *= c->o->batch;
    const size_t padding = real >= 0 && (size_t)real < n ? n - (size_t)real : 0;
    const bool small = c->threads == 1 || n < PARALLEL_FROM;
    if (small ? skv_histogram_add(seen, t->data, n, padding) : add_in_parts(c, seen, t->data, n, padding)) {
        skv_extent *runs = c->points->items[c->kept[index]].runs;
        if (w->run < SKV_MOST_RUNS) runs[w->run] = (skv_extent){seen->last_low, seen->last_high};
        return SKIVE_OK;
    }
    return skv_fail_at(w->ctx, SKIVE_ERR_NUMERIC, v->name, "value '%s' was NaN or infinity during calibration",
                       v->name);
}

static skive_status open_worker(calibration *c, worker *w) {
    const uint32_t n_inputs = c->graph->n_inputs;
    w->c = c;
    SKV_TRY(skv_context_fork(c->ctx, &w->ctx));
    SKV_TRY(skive_context_set_threads(w->ctx, c->threads));
    SKV_TRY(skv_alloc_array(c->ctx, c->n_keep + 1, sizeof *w->seen, &w->seen));
    for (size_t k = 0; k < c->n_keep; k++) {
        SKV_TRY(skv_histogram_create(c->ctx, c->bins, &w->seen[k]));
    }
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)n_inputs + 1, sizeof *w->inputs, &w->inputs));
    SKV_TRY(skive_exec_create(w->ctx, c->plan, &w->exec));
    for (uint32_t i = 0; i < n_inputs; i++) SKV_TRY(skive_exec_input(w->exec, i, &w->inputs[i]));
    skive_exec_set_tap(w->exec, observe, w);
    return SKIVE_OK;
}

static void close_worker(calibration *c, worker *w) {
    for (size_t k = 0; w->seen && k < c->n_keep; k++) skv_histogram_free(c->ctx, &w->seen[k]);
    skv_free(c->ctx, w->seen);
    skv_free(c->ctx, w->inputs);
    skive_exec_free(w->exec);
    skive_context_free(w->ctx);
}

/* One thread per run if that many runs fit into memory, else all threads for one run. */
static skive_status open_workers(calibration *c, int64_t runs) {
    const int threads = skv_threads(c->ctx);
    size_t wanted = runs < threads ? (size_t)runs : (size_t)threads, each;
    SKV_TRY(make_plan(c, wanted < (size_t)threads ? threads : 1));
    each = skive_plan_arena_bytes(c->plan) + c->n_keep * sizeof(skv_histogram);
    each += 2 * c->n_keep * SKV_HISTOGRAM_BINS * sizeof(uint64_t);
    if (c->threads > 1 || each > MEMORY_AT_ONCE / wanted) wanted = 1;
    if (wanted == 1 && c->threads < threads) {
        skive_plan_free(c->plan);
        c->plan = NULL;
        SKV_TRY(make_plan(c, threads));
    }
    if (c->threads > 1) {
        SKV_TRY(skv_alloc_array(c->ctx, (size_t)c->threads, sizeof *c->parts, &c->parts));
        for (int t = 0; t < c->threads; t++) {
            SKV_TRY(skv_histogram_create(c->ctx, c->bins, &c->parts[t]));
        }
    }
    SKV_TRY(skv_alloc_array(c->ctx, wanted, sizeof *c->workers, &c->workers));
    for (c->n_workers = 0; c->n_workers < wanted; c->n_workers++) {
        const skive_status status = open_worker(c, &c->workers[c->n_workers]);
        if (status == SKIVE_OK) continue;
        const skive_context *own = c->workers[c->n_workers].ctx;
        if (own && skive_context_message(own)[0]) (void)SKV_FAIL(c->ctx, status, "%s", skive_context_message(own));
        c->n_workers++; /* partly open: closed with the others */
        return status;
    }
    return SKIVE_OK;
}

/* ---- running ---- */

/* The inputs are filled by the calling thread, one after the other; *fed is the number of workers fed, *next the index
 * of the next run. */
static skive_status feed_workers(calibration *c, skive_feed_fn feed, void *user, int64_t runs, int64_t *next,
                                 size_t *fed) {
    for (*fed = 0; *fed < c->n_workers && *next < runs; ++*next) {
        worker *w = &c->workers[*fed];
        bool calibrates;
        SKV_TRY(feed(user, *next, w->inputs, c->graph->n_inputs));
        SKV_TRY(skv_quant_sort_run(c->ctx, c->graph, *next, w->inputs, c->data, &calibrates));
        c->data->samples += c->o->batch;
        w->run = *next;
        *fed += calibrates ? 1 : 0;
    }
    return SKIVE_OK;
}

static skive_status run_workers(calibration *c, size_t n) {
    worker *workers = c->workers;
#pragma omp parallel for num_threads((int)n) schedule(static, 1) if (n > 1)
    for (size_t i = 0; i < n; i++) workers[i].status = skive_exec_run(workers[i].exec);
    for (size_t i = 0; i < n; i++) {
        const worker *w = &workers[i];
        if (w->status == SKIVE_OK) continue;
        return skv_fail_at(c->ctx, w->status, skive_context_subject(w->ctx), "%s", skive_context_message(w->ctx));
    }
    return SKIVE_OK;
}

static skive_status run_all(calibration *c, skive_feed_fn feed, void *user, int64_t runs) {
    skv_progress progress;
    skive_status fed_status = SKIVE_OK;
    skv_progress_start(&progress, c->ctx, "calibrate", (double)runs);
    for (int64_t next = 0; next < runs && fed_status == SKIVE_OK;) {
        size_t fed;
        fed_status = feed_workers(c, feed, user, runs, &next, &fed);
        if (fed_status != SKIVE_OK && fed_status != SKIVE_ERR_NOT_FOUND) return fed_status;
        SKV_TRY(run_workers(c, fed));
        SKV_TRY(skv_progress_at(&progress, (double)next, "%s", c->o->calibration));
    }
    return c->data->samples ? SKIVE_OK : SKV_FAIL(c->ctx, SKIVE_ERR_DATA, "there are no calibration samples");
}

static void merge(calibration *c, bool held) {
    for (size_t i = 0; i < c->n_workers; i++) {
        for (size_t k = 0; k < c->n_keep; k++) {
            skv_point *p = &c->points->items[c->kept[k]];
            skv_histogram_merge(held ? &p->held : &p->seen, &c->workers[i].seen[k]);
            skv_histogram_clear(&c->workers[i].seen[k]);
        }
    }
}

static skive_status copy_outputs(calibration *c, worker *w, skv_kept_run *r) {
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)c->graph->n_outputs + 1, sizeof *r->outputs, &r->outputs));
    for (uint32_t i = 0; i < c->graph->n_outputs; i++) {
        skive_tensor view;
        SKV_TRY(skive_exec_output(w->exec, i, &view));
        SKV_TRY(skive_tensor_copy(c->ctx, &view, &r->outputs[i]));
    }
    return SKIVE_OK;
}

static skive_status count_anew(calibration *c, skv_histogram *h) {
    skv_histogram_free(c->ctx, h);
    return skv_histogram_create(c->ctx, c->bins | SKV_BINS_RELATIVE, h);
}

static skive_status run_again(calibration *c, skv_kept *k) {
    size_t bytes = 0;
    for (size_t first = 0; first < k->n; first += c->n_workers) {
        const size_t left = k->n - first, n = left < c->n_workers ? left : c->n_workers;
        for (size_t i = 0; i < n; i++) {
            worker *w = &c->workers[i];
            w->run = k->runs[first + i].index;
            for (uint32_t m = 0; m < c->graph->n_inputs; m++)
                memcpy(w->inputs[m].data, k->runs[first + i].inputs[m].data, skive_tensor_bytes(&w->inputs[m]));
        }
        SKV_TRY(run_workers(c, n));
        for (size_t i = 0; i < n && bytes <= SKV_MOST_KEPT; i++) {
            skv_kept_run *r = &k->runs[first + i];
            SKV_TRY(copy_outputs(c, &c->workers[i], r));
            for (uint32_t m = 0; m < c->graph->n_outputs; m++) bytes += skive_tensor_bytes(&r->outputs[m]);
        }
    }
    return SKIVE_OK;
}

/* Runs the float model on the kept runs; those held out are counted separately. */
static skive_status run_kept(calibration *c) {
    for (size_t i = 0; i < c->n_workers; i++) {
        for (size_t m = 0; m < c->n_keep; m++) SKV_TRY(count_anew(c, &c->workers[i].seen[m]));
    }
    for (int t = 0; c->parts && t < c->threads; t++) SKV_TRY(count_anew(c, &c->parts[t]));
    SKV_TRY(run_again(c, &c->data->check));
    merge(c, true);
    skv_quant_find_spoilt(c->points);
    for (size_t i = 0; i < c->n_workers; i++) skive_exec_set_tap(c->workers[i].exec, NULL, NULL);
    return run_again(c, &c->data->probe);
}

skive_status skv_quant_calibrate(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o, int bins,
                                 skive_feed_fn feed, void *user, skv_points *points, skv_calibration_data *data) {
    calibration c = {.ctx = ctx, .graph = g, .o = o, .bins = bins, .points = points, .data = data};
    const int64_t runs = o->samples / o->batch + (o->samples % o->batch != 0);
    skive_status status;
    skv_quant_start_sorting(data, runs);
    SKV_GO(status, done, find_kept(&c));
    SKV_GO(status, done, open_workers(&c, runs));
    SKV_GO(status, done, run_all(&c, feed, user, runs));
    merge(&c, false);
    SKV_GO(status, done, run_kept(&c));
done:
    for (size_t i = 0; i < c.n_workers; i++) close_worker(&c, &c.workers[i]);
    for (int t = 0; c.parts && t < c.threads; t++) skv_histogram_free(ctx, &c.parts[t]);
    skv_free(ctx, c.workers);
    skv_free(ctx, c.parts);
    skive_plan_free(c.plan);
    skv_free(ctx, c.keep);
    skv_free(ctx, c.kept);
    return status;
}
