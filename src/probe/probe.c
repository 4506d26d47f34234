/* Running a probe: workers, and the order in which what they saw is joined. */
#include <math.h>
#include <string.h>

#include <skive/memory.h>

#include "exec/plan.h"
#include "probe/probe_inside.h"
#include "probe/slots.h"

/* Of all workers together. */
#define MEMORY_FORWARD  ((size_t)128 << 20)
#define MEMORY_BACKWARD ((size_t)512 << 20)
enum { BLOCK = 1 << 14 };

/* ---- states ---- */

static bool by_slots(const skv_reduction *r) { return r->item->reducer->add_slots != NULL; }

static skive_status open_state(const skv_probe *p, const skv_reduction *r, void **state) {
    return by_slots(r) ? skv_slots_open(p->ctx, r, state) : r->item->reducer->open(p->ctx, r, state);
}

static void close_state(const skv_probe *p, const skv_reduction *r, void **state) {
    if (*state && by_slots(r)) skv_free(p->ctx, *state);
    if (*state && !by_slots(r)) r->item->reducer->close(p->ctx, r, *state);
    *state = NULL;
}

static void join(const skv_reduction *r, void *into, void *part) {
    if (by_slots(r))
        skv_slots_join(r, into, part);
    else
        r->item->reducer->merge(r, into, part);
}

static skive_status add(const skv_reduction *r, void *state, const skv_seen *seen) {
    if (!by_slots(r)) return r->item->reducer->add(r, state, seen);
    skv_slots_add(r, state, seen->x);
    return SKIVE_OK;
}

/* ---- the plan ---- */

static bool takes_any_layout(const skv_probe *p) {
    for (size_t i = 0; i < p->n; i++) {
        if (p->setup->items[i].of == SKV_OF_VALUE && !p->setup->items[i].reducer->anywhere) return false;
    }
    return true;
}

static skive_status make_plan(skv_probe *p, int threads) {
    skive_plan_options o = p->setup->plan;
    o.size = sizeof o;
    o.keep = p->keep;
    o.n_keep = p->n_keep;
    o.keep_layout = takes_any_layout(p);
    o.training = (p->setup->loss != NULL && !p->setup->constant_parameters) || p->setup->own_parameters;
    o.threads = p->threads = threads;
    return skive_plan_create(p->ctx, p->graph, &o, &p->plan);
}

/* What a plan says of the items: shapes, slots. */
static skive_status bind_items(skv_probe *p) {
    p->n_blocks = 0;
    for (size_t i = 0; i < p->n; i++) {
        skv_probe_entry *at = &p->entries[i];
        skv_reduction *r = &at->r;
        const skv_probe_item *item = &p->setup->items[i];
        const skive_graph *g = p->plan->graph;
        const skive_value *v =
            at->keep != SKV_PROBE_NONE ? skive_graph_find_value(g, item->value) : g->outputs[at->gradient];
        if (!v || !skv_type_is_static(&v->type) || item->axis >= v->type.rank)
            return skv_fail_at(p->ctx, SKIVE_ERR_SHAPE, item->value, "the shape of '%s' is not known before a run",
                               item->value);
        *r = (skv_reduction){.item = item, .type = v->type, .n = skv_type_count(&v->type), .threads = p->threads};
        r->slots = item->axis == SKV_BY_ELEMENT ? r->n : item->axis == SKV_IN_ALL ? 1 : v->type.dims[item->axis].size;
        r->inner = item->axis == SKV_IN_ALL ? r->n : 1;
        for (int d = item->axis + 1; item->axis >= 0 && d < v->type.rank; d++) r->inner *= v->type.dims[d].size;
        at->direct = item->axis == SKV_BY_ELEMENT;
        at->first_block = p->n_blocks;
        at->blocks = at->direct ? (r->n + BLOCK - 1) / BLOCK : 0;
        p->n_blocks += at->blocks;
        if (r->n < 1) return skv_fail_at(p->ctx, SKIVE_ERR_SHAPE, item->value, "'%s' has no elements", item->value);
    }
    return SKIVE_OK;
}

static size_t room_for_products(const skv_probe *p) {
    size_t most = 0;
    for (size_t i = 0; i < p->n; i++) {
        const skv_probe_entry *at = &p->entries[i];
        const bool product = p->setup->items[i].of == SKV_OF_PRODUCT && !at->direct;
        if (product && (size_t)at->r.n > most) most = (size_t)at->r.n;
    }
    return most;
}

static size_t bytes_of_worker(const skv_probe *p) {
    size_t bytes = skive_plan_arena_bytes(p->plan) + room_for_products(p) * sizeof(float);
    for (size_t i = 0; i < p->n; i++) {
        const skv_reduction *r = &p->entries[i].r;
        if (!p->entries[i].direct) bytes += by_slots(r) ? skv_slots_bytes(r) : r->item->reducer->bytes(r);
    }
    return bytes;
}

static size_t memory_allowed(const skv_probe *p) {
    const skive_context *ctx = p->ctx;
    size_t most = p->setup->memory ? p->setup->memory : p->setup->loss ? MEMORY_BACKWARD : MEMORY_FORWARD;
    const uint64_t limit = skive_context_memory_limit(ctx), used = skive_context_memory_used(ctx);
    if (limit && limit <= used) return 0;
    if (limit && (limit - used) / 2 < most) most = (size_t)((limit - used) / 2);
    return most;
}

/* Without gradients, one thread per run if that many runs fit into memory, else all threads for one run: what a forward
 * run computes does not depend on their number. Gradients of weights do; their runs have one thread, and there are
 * fewer at a time where memory is short. */
static skive_status plan_workers(skv_probe *p, size_t *wanted) {
    const int threads = skv_threads(p->ctx);
    const int64_t runs = p->setup->runs > 0 ? p->setup->runs : INT64_MAX;
    const bool backward = p->setup->loss != NULL;
    *wanted = runs < threads ? (size_t)runs : (size_t)threads;
    SKV_TRY(make_plan(p, !backward && *wanted < (size_t)threads ? threads : 1));
    SKV_TRY(bind_items(p));
    const size_t each = bytes_of_worker(p), most = memory_allowed(p);
    if (p->setup->most && each > p->setup->most)
        return SKV_FAIL(p->ctx, SKIVE_ERR_LIMIT, "a run needs %zu MiB, more than the %zu MiB allowed", each >> 20,
                        p->setup->most >> 20);
    if (backward) {
        if (each > most / *wanted) *wanted = most / each ? most / each : 1;
        return SKIVE_OK;
    }
    if (p->threads > 1 || each > most / *wanted) *wanted = 1;
    if (*wanted > 1 || p->threads == threads) return SKIVE_OK;
    skive_plan_free(p->plan);
    p->plan = NULL;
    SKV_TRY(make_plan(p, threads));
    return bind_items(p);
}

/* ---- workers ---- */

/* The numbers of an item's gradient, and what they are multiplied by (NULL: nothing). */
static skive_status look(skive_exec *exec, const skv_probe_entry *at, const float **x, const float **times) {
    skive_tensor view;
    SKV_TRY(skive_exec_output(exec, at->gradient, &view));
    *x = view.data;
    *times = NULL;
    if (!skv_probe_of_value(at->r.item->of)) return SKIVE_OK;
    *times = at->param;
    if (at->param) return SKIVE_OK;
    SKV_TRY(skive_exec_output(exec, at->value, &view));
    *times = view.data;
    return SKIVE_OK;
}

static skive_status observe(void *user, size_t index, const skive_tensor *t) {
    skv_probe_worker *w = user;
    skv_probe *p = w->p;
    if (w->blind) return SKIVE_OK;
    for (size_t i = p->first[index]; i != SKV_PROBE_NONE; i = p->entries[i].next) {
        const skv_reduction *r = &p->entries[i].r;
        const size_t n = (size_t)skive_tensor_count(t), own = (size_t)r->n;
        const skv_seen seen = {.ctx = w->ctx, .x = t->data, .n = n, .padding = n > own ? n - own : 0, .run = w->run};
        SKV_TRY(add(r, w->parts[i], &seen));
    }
    return SKIVE_OK;
}

/* What is reduced when the gradients are there. */
static skive_status observe_gradients(skv_probe_worker *w) {
    skv_probe *p = w->p;
    for (size_t i = 0; i < p->n; i++) {
        const skv_probe_entry *at = &p->entries[i];
        const float *x, *times;
        if (at->gradient == SKV_PROBE_NONE || at->direct) continue;
        SKV_TRY(look(w->exec, at, &x, &times));
        const bool both = at->r.item->of == SKV_OF_BOTH;
        for (int64_t k = 0; times && !both && k < at->r.n; k++) w->room[k] = x[k] * times[k];
        const skv_seen seen = {.ctx = w->ctx,
                               .x = both    ? times
                                    : times ? w->room
                                            : x,
                               .gradient = both ? x : NULL,
                               .n = (size_t)at->r.n,
                               .run = w->run};
        SKV_TRY(add(&at->r, w->parts[i], &seen));
    }
    return SKIVE_OK;
}

static double loss_of(skive_exec *exec) {
    skive_tensor view;
    return skive_exec_output(exec, 0, &view) == SKIVE_OK ? (double)((const float *)view.data)[0] : NAN;
}

static skive_status run_worker(skv_probe_worker *w) {
    SKV_TRY(skive_exec_run(w->exec));
    if (!w->p->setup->loss || w->blind) return SKIVE_OK;
    if (!isfinite(loss_of(w->exec)))
        return skv_fail_at(w->ctx, SKIVE_ERR_NUMERIC, w->p->setup->loss,
                           "the loss of run %lld is not a finite number; look for NaN in the data and in the weights",
                           (long long)w->run);
    return observe_gradients(w);
}

static skive_status open_worker(skv_probe *p, skv_probe_worker *w) {
    const uint32_t n_inputs = p->graph->n_inputs;
    w->p = p;
    SKV_TRY(skv_context_fork(p->ctx, &w->ctx));
    SKV_TRY(skive_context_set_threads(w->ctx, p->threads));
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *w->parts, &w->parts));
    for (size_t i = 0; i < p->n; i++) {
        if (!p->entries[i].direct) SKV_TRY(open_state(p, &p->entries[i].r, &w->parts[i]));
    }
    SKV_TRY(skv_alloc_array(p->ctx, room_for_products(p) + 1, sizeof *w->room, &w->room));
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)n_inputs + 1, sizeof *w->inputs, &w->inputs));
    SKV_TRY(skive_exec_create(w->ctx, p->plan, &w->exec));
    for (uint32_t i = 0; i < n_inputs; i++) SKV_TRY(skive_exec_input(w->exec, i, &w->inputs[i]));
    skive_exec_set_tap(w->exec, observe, w);
    return SKIVE_OK;
}

static void close_worker(const skv_probe *p, skv_probe_worker *w) {
    for (size_t i = 0; w->parts && i < p->n; i++) close_state(p, &p->entries[i].r, &w->parts[i]);
    skv_free(p->ctx, w->parts);
    skv_free(p->ctx, w->room);
    skv_free(p->ctx, w->inputs);
    skive_exec_free(w->exec);
    skive_context_free(w->ctx);
}

static skive_status open_workers(skv_probe *p) {
    size_t wanted;
    SKV_TRY(plan_workers(p, &wanted));
    for (size_t i = 0; i < p->n; i++) SKV_TRY(open_state(p, &p->entries[i].r, &p->entries[i].total));
    SKV_TRY(skv_alloc_array(p->ctx, wanted, sizeof *p->workers, &p->workers));
    for (p->n_workers = 0; p->n_workers < wanted; p->n_workers++) {
        const skive_status status = open_worker(p, &p->workers[p->n_workers]);
        if (status == SKIVE_OK) continue;
        const skive_context *own = p->workers[p->n_workers].ctx;
        if (own && skive_context_message(own)[0]) (void)SKV_FAIL(p->ctx, status, "%s", skive_context_message(own));
        p->n_workers++; /* partly open: closed with the others */
        return status;
    }
    return SKIVE_OK;
}

skive_status skv_probe_open(skive_context *ctx, const skv_probe_setup *s, skv_probe **out) {
    skv_probe *p = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *p, &p));
    p->ctx = ctx;
    p->own = *s;
    p->setup = &p->own;
    p->n = s->n_items;
    skive_status status = skv_probe_build(p);
    if (status == SKIVE_OK) status = open_workers(p);
    if (status == SKIVE_OK)
        *out = p;
    else
        skv_probe_free(p);
    return status;
}

void skv_probe_free(skv_probe *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n_workers; i++) close_worker(p, &p->workers[i]);
    for (size_t i = 0; p->entries && i < p->n; i++) close_state(p, &p->entries[i].r, &p->entries[i].total);
    skv_free(p->ctx, p->workers);
    skive_plan_free(p->plan);
    skv_free(p->ctx, p->entries);
    skv_free(p->ctx, p->keep);
    skv_free(p->ctx, p->first);
    skive_graph_free(p->copy);
    skv_free(p->ctx, p);
}

skive_status skv_probe_renew(skv_probe *p) {
    p->runs = 0;
    p->loss_sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        skv_probe_entry *at = &p->entries[i];
        at->count = 0;
        close_state(p, &at->r, &at->total);
        SKV_TRY(open_state(p, &at->r, &at->total));
        for (size_t k = 0; k < p->n_workers && !at->direct; k++) {
            close_state(p, &at->r, &p->workers[k].parts[i]);
            SKV_TRY(open_state(p, &at->r, &p->workers[k].parts[i]));
        }
    }
    return SKIVE_OK;
}

/* ---- running ---- */

/* The inputs are filled by the calling thread, one after the other; *fed is the number of workers fed, *next the index
 * of the next run. */
static skive_status feed_workers(skv_probe *p, const skv_probe_pass *pass, int64_t *next, size_t *fed) {
    for (*fed = 0; *fed < p->n_workers && *next < pass->runs; ++*next) {
        skv_probe_worker *w = &p->workers[*fed];
        w->run = *next;
        w->blind = pass->blind;
        SKV_TRY(pass->feed(pass->user, &w->run, w->inputs, p->graph->n_inputs));
        *fed += w->run >= 0 ? 1 : 0;
    }
    return SKIVE_OK;
}

static skive_status run_workers(skv_probe *p, size_t n) {
    skv_probe_worker *workers = p->workers;
#pragma omp parallel for num_threads((int)n) schedule(static, 1) if (n > 1)
    for (size_t i = 0; i < n; i++) workers[i].status = run_worker(&workers[i]);
    for (size_t i = 0; i < n; i++) {
        const skv_probe_worker *w = &workers[i];
        if (w->status == SKIVE_OK) continue;
        return skv_fail_at(p->ctx, w->status, skive_context_subject(w->ctx), "%s", skive_context_message(w->ctx));
    }
    return SKIVE_OK;
}

/* The direct item that a block of elements belongs to. */
static skv_probe_entry *entry_of_block(const skv_probe *p, int64_t block) {
    size_t k = 0;
    while (!p->entries[k].direct || block >= p->entries[k].first_block + p->entries[k].blocks) k++;
    return &p->entries[k];
}

/* Adds the gradients of n runs, in their order, to the slots of the elements: all items in one region, a block of
 * elements by one thread. */
static skive_status join_direct(skv_probe *p, size_t n) {
    const int threads = skv_threads(p->ctx);
    skive_status status = SKIVE_OK;
#pragma omp parallel for num_threads(threads) schedule(static) if (p->n_blocks > 1 && threads > 1)
    for (int64_t b = 0; b < p->n_blocks; b++) {
        skv_probe_entry *at = entry_of_block(p, b);
        const int64_t first = (b - at->first_block) * BLOCK, last = first + BLOCK < at->r.n ? first + BLOCK : at->r.n;
        for (size_t i = 0; i < n; i++) {
            const float *x, *times;
            const skive_status looked = look(p->workers[i].exec, at, &x, &times);
            if (looked == SKIVE_OK) {
                skv_slots_add_range(&at->r, at->total, x, times, first, last);
                continue;
            }
#pragma omp critical
            status = looked;
        }
    }
    return status;
}

/* Joins what the workers saw in one run each, in the order of the runs. */
static skive_status join_runs(skv_probe *p, size_t n) {
    for (size_t i = 0; p->setup->loss && i < n; i++) p->loss_sum += loss_of(p->workers[i].exec);
    for (size_t k = 0; k < p->n; k++) {
        skv_probe_entry *at = &p->entries[k];
        at->count += (double)n * (double)at->r.n / (double)at->r.slots;
        for (size_t i = 0; !at->direct && !at->r.item->reducer->exact && i < n; i++)
            join(&at->r, at->total, p->workers[i].parts[k]);
    }
    p->runs += (int64_t)n;
    return join_direct(p, n);
}

static skive_status one_round(skv_probe *p, const skv_probe_pass *pass, size_t n) {
    SKV_TRY(run_workers(p, n));
    if (!pass->blind) SKV_TRY(join_runs(p, n));
    for (size_t i = 0; pass->ran && i < n; i++) SKV_TRY(pass->ran(pass->user, p->workers[i].run, p->workers[i].exec));
    return SKIVE_OK;
}

skive_status skv_probe_run(skv_probe *p, const skv_probe_pass *pass, int64_t *done) {
    skv_progress progress;
    skive_status fed_status = SKIVE_OK;
    int64_t ran = 0;
    if (done) *done = 0;
    if (pass->begin) SKV_TRY(pass->begin(pass->user));
    if (pass->what) skv_progress_start(&progress, p->ctx, pass->what, (double)pass->runs);
    for (int64_t next = 0; next < pass->runs && fed_status == SKIVE_OK;) {
        size_t fed;
        fed_status = feed_workers(p, pass, &next, &fed);
        if (fed_status != SKIVE_OK && fed_status != SKIVE_ERR_NOT_FOUND) return fed_status;
        SKV_TRY(one_round(p, pass, fed));
        ran += (int64_t)fed;
        if (pass->what) SKV_TRY(skv_progress_at(&progress, (double)next, "%s", pass->detail ? pass->detail : ""));
    }
    if (done) *done = ran;
    return SKIVE_OK;
}

/* ---- results ---- */

void *skv_probe_state(skv_probe *p, size_t item) {
    skv_probe_entry *at = &p->entries[item];
    for (size_t i = 0; !at->direct && at->r.item->reducer->exact && i < p->n_workers; i++)
        join(&at->r, at->total, p->workers[i].parts[item]);
    return at->total;
}

skive_status skv_probe_result(skv_probe *p, size_t item, double **out, size_t *n, double *count) {
    const skv_reduction *r = &p->entries[item].r;
    void *state = skv_probe_state(p, item);
    *out = NULL;
    *n = 0;
    if (count) *count = p->entries[item].count;
    if (!by_slots(r)) return r->item->reducer->finish(p->ctx, r, state, out, n);
    const double *slot = state;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)r->slots + 1, sizeof **out, out));
    for (int64_t i = 0; i < r->slots; i++) (*out)[i] = slot[i] + 0.0; /* one zero, not two */
    *n = (size_t)r->slots;
    return SKIVE_OK;
}

double skv_probe_loss(const skv_probe *p) { return p->runs > 0 ? p->loss_sum / (double)p->runs : NAN; }

float *skv_probe_parameter(skv_probe *p, const char *name, int64_t *n) {
    const skive_value *v = p->copy ? skive_graph_find_value(p->copy, name) : NULL;
    if (!v || !p->setup->own_parameters || !v->storage || v->type.dtype != SKIVE_F32) return NULL;
    *n = skive_tensor_count(&v->storage->tensor);
    return v->storage->tensor.data;
}

size_t skv_probe_workers(const skv_probe *p) { return p->n_workers; }
