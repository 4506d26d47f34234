/* Watching the activations on calibration data.
 *
 * Where memory allows, as many runs go on at once as there are threads, each on one thread and with counts of its own: the
 * threads then wait for each other once a run and not in every node, and a tensor is counted while it is still in the cache
 * of the core that made it. Run i is always worker i mod n's, and merging the counts is exact, so the result does not depend
 * on who was faster. Memory is that of the plan, the workers' arenas and the counts, however many samples there are. */
#include <string.h>

#include "quant/quant.h"

enum { PARALLEL_FROM = 1 << 15 };
#define MEMORY_AT_ONCE ((size_t)128 << 20) /* of all workers together, else one run at a time takes all threads */

struct calibration;

typedef struct worker {
    struct calibration *c;
    skive_context *ctx;
    skive_exec *exec;
    skive_tensor *inputs;
    skv_histogram *seen; /* [n_keep] */
    skive_status status;
} worker;

typedef struct calibration {
    skive_context *ctx;
    const skive_graph *graph;
    const skive_quantize_options *o;
    const skv_observer *observer;
    skv_points *points;
    const char **keep; /* names of the points that are their own source */
    size_t *kept;      /* their indices */
    size_t n_keep;
    int threads; /* of one run */
    skive_plan *plan;
    skv_histogram *parts; /* [threads]: a thread's share of a tensor, when a run has several */
    worker *workers;
    size_t n_workers;
} calibration;

static skive_status find_kept(calibration *c) {
    SKV_TRY(skv_alloc_array(c->ctx, c->points->n, sizeof *c->keep, &c->keep));
    SKV_TRY(skv_alloc_array(c->ctx, c->points->n, sizeof *c->kept, &c->kept));
    for (size_t i = 0; i < c->points->n; i++) {
        if (c->points->items[i].source != i) continue;
        SKV_TRY(skv_histogram_create(c->ctx, c->observer->needs_bins, &c->points->items[i].seen));
        c->keep[c->n_keep] = c->points->items[i].value->name;
        c->kept[c->n_keep++] = i;
    }
    return SKIVE_OK;
}

static skive_status make_plan(calibration *c, int threads) {
    skive_plan_options o = skive_plan_options_default();
    o.keep = c->keep;
    o.n_keep = c->n_keep;
    o.batch = c->o->batch;
    o.keep_layout = true;
    o.threads = c->threads = threads;
    return skive_plan_create(c->ctx, c->graph, &o, &c->plan);
}

/* A large tensor is cut among the threads of a run. */
static bool add_in_parts(calibration *c, skv_histogram *seen, const float *x, size_t n, size_t padding) {
    const int threads = c->threads;
    bool fine = true;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : fine)
    for (int k = 0; k < threads; k++) {
        const size_t first = n * (size_t)k / (size_t)threads, last = n * (size_t)(k + 1) / (size_t)threads;
        skv_histogram *part = &c->parts[k];
        uint64_t *bins = part->bins;
        *part = (skv_histogram){.bins = bins};
        if (bins) memset(bins, 0, SKV_HISTOGRAM_BINS * sizeof *bins);
        fine = skv_histogram_add(part, x + first, last - first, 0) && fine;
    }
    if (!fine) return false;
    for (int k = 0; k < threads; k++) skv_histogram_merge(seen, &c->parts[k]);
    skv_histogram_forget_zeros(seen, padding);
    return true;
}

static skive_status observe(void *user, size_t index, const skive_tensor *t) {
    worker *w = user;
    calibration *c = w->c;
    const skive_value *v = c->points->items[c->kept[index]].value;
    skv_histogram *seen = &w->seen[index];
    const size_t n = (size_t)skive_tensor_count(t);
    /* The plan's batch is o->batch; what is stored beyond the value's own elements is padding. */
    int64_t real = skv_type_count(&v->type);
    if (v->type.rank > 0 && v->type.dims[0].size < 0) real *= c->o->batch;
    const size_t padding = real >= 0 && (size_t)real < n ? n - (size_t)real : 0;
    const bool small = c->threads == 1 || n < PARALLEL_FROM;
    if (small ? skv_histogram_add(seen, t->data, n, padding) : add_in_parts(c, seen, t->data, n, padding)) {
        return SKIVE_OK;
    }
    return skv_fail_at(w->ctx, SKIVE_ERR_NUMERIC, v->name, "value '%s' held NaN or infinity during calibration",
                       v->name);
}

static skive_status open_worker(calibration *c, worker *w) {
    const uint32_t n_inputs = c->graph->n_inputs;
    w->c = c;
    SKV_TRY(skv_context_fork(c->ctx, &w->ctx));
    SKV_TRY(skive_context_set_threads(w->ctx, c->threads));
    SKV_TRY(skv_alloc_array(c->ctx, c->n_keep + 1, sizeof *w->seen, &w->seen));
    for (size_t k = 0; k < c->n_keep; k++) {
        SKV_TRY(skv_histogram_create(c->ctx, c->observer->needs_bins, &w->seen[k]));
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

/* One thread a run where that many runs fit into memory, else all threads for one run. */
static skive_status open_workers(calibration *c, int64_t runs) {
    const int threads = skv_threads(c->ctx);
    size_t wanted = runs < threads ? (size_t)runs : (size_t)threads, each;
    SKV_TRY(make_plan(c, wanted < (size_t)threads ? threads : 1));
    each = skive_plan_arena_bytes(c->plan) + c->n_keep * sizeof(skv_histogram);
    if (c->observer->needs_bins) each += c->n_keep * SKV_HISTOGRAM_BINS * sizeof(uint64_t);
    if (c->threads > 1 || each > MEMORY_AT_ONCE / wanted) wanted = 1;
    if (wanted == 1 && c->threads < threads) {
        skive_plan_free(c->plan);
        c->plan = NULL;
        SKV_TRY(make_plan(c, threads));
    }
    if (c->threads > 1) {
        SKV_TRY(skv_alloc_array(c->ctx, (size_t)c->threads, sizeof *c->parts, &c->parts));
        for (int t = 0; t < c->threads; t++) {
            SKV_TRY(skv_histogram_create(c->ctx, c->observer->needs_bins, &c->parts[t]));
        }
    }
    SKV_TRY(skv_alloc_array(c->ctx, wanted, sizeof *c->workers, &c->workers));
    for (c->n_workers = 0; c->n_workers < wanted; c->n_workers++) {
        const skive_status status = open_worker(c, &c->workers[c->n_workers]);
        if (status == SKIVE_OK) continue;
        const skive_context *own = c->workers[c->n_workers].ctx;
        if (own && skive_context_message(own)[0]) (void)SKV_FAIL(c->ctx, status, "%s", skive_context_message(own));
        c->n_workers++; /* half open: closed with the others */
        return status;
    }
    return SKIVE_OK;
}

/* The inputs are filled by the calling thread, one after the other; *fed tells for how many workers. */
static skive_status feed_workers(calibration *c, skive_feed_fn feed, void *user, int64_t first, int64_t runs,
                                 size_t *fed) {
    for (*fed = 0; *fed < c->n_workers && first + (int64_t)*fed < runs; ++*fed) {
        const skive_status status = feed(user, first + (int64_t)*fed, c->workers[*fed].inputs, c->graph->n_inputs);
        if (status != SKIVE_OK) return status;
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

static skive_status run_all(calibration *c, skive_feed_fn feed, void *user, int64_t runs, int64_t *samples) {
    skv_progress progress;
    skive_status fed_status = SKIVE_OK;
    skv_progress_start(&progress, c->ctx, "calibrate", (double)runs);
    for (int64_t i = 0; i < runs && fed_status == SKIVE_OK; i += (int64_t)c->n_workers) {
        size_t fed;
        fed_status = feed_workers(c, feed, user, i, runs, &fed);
        if (fed_status != SKIVE_OK && fed_status != SKIVE_ERR_NOT_FOUND) return fed_status;
        SKV_TRY(run_workers(c, fed));
        *samples += (int64_t)fed * c->o->batch;
        SKV_TRY(skv_progress_at(&progress, (double)i + (double)fed, "%s", c->observer->name));
    }
    return *samples ? SKIVE_OK : SKV_FAIL(c->ctx, SKIVE_ERR_DATA, "there are no calibration samples");
}

static void merge(calibration *c) {
    for (size_t i = 0; i < c->n_workers; i++) {
        for (size_t k = 0; k < c->n_keep; k++) {
            skv_histogram_merge(&c->points->items[c->kept[k]].seen, &c->workers[i].seen[k]);
        }
    }
}

skive_status skv_quant_calibrate(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                 const skv_observer *observer, skive_feed_fn feed, void *user, skv_points *points,
                                 int64_t *samples) {
    calibration c = {.ctx = ctx, .graph = g, .o = o, .observer = observer, .points = points};
    const int64_t runs = o->samples / o->batch + (o->samples % o->batch != 0);
    skive_status status;
    SKV_GO(status, done, find_kept(&c));
    SKV_GO(status, done, open_workers(&c, runs));
    SKV_GO(status, done, run_all(&c, feed, user, runs, samples));
    merge(&c);
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
