/* Selects for each value the range that harms the model's outputs least.
 *
 * Each observer proposes a range. Its effect on the outputs is estimated to first order: the error of each element
 * times the gradient of the outputs with respect to it. Rounding errors are independent of each other, so their squares
 * add up; the errors of clipped elements all have the same sign, so they are summed before they are squared (a range
 * that clips a little in many elements does more harm than its mean squared error suggests). The gradient is that of
 * the outputs' sum with random signs, whose square is, on average, the sum of squares over all outputs; each output is
 * scaled by its own magnitude. Runs whose input is far outside that of a usual run are left out: a marker for a missing
 * value must not decide. The few samples used for this lack most of the rare large values; the clipping of those in all
 * samples is added from the counts, weighted by the mean squared gradient. */
#include <math.h>
#include <string.h>

#include <skive/autodiff.h>

#include "quant/quant.h"

enum { BLOCK = 1024, STREAM = 77 };
#define MEMORY_AT_ONCE ((size_t)512 << 20)

/* ---- the gradient graph ---- */

typedef struct pair {
    float *value, *gradient; /* of one run, until both are available */
    size_t n;
} pair;

typedef struct harm {
    skive_context *ctx;
    const skive_quantize_options *o;
    const skv_points *points;
    const skv_calibration_data *data;
    skv_choices *choices;
    skive_graph *graph;
    uint32_t n_inputs; /* of the model; the inputs after these are the signs */
    double *size;      /* [signs] of the output */
    const char **keep; /* values of the points, followed by their gradients */
    size_t *point;     /* [n] */
    size_t n;          /* points looked at */
    skive_plan *plan;
    double *lost; /* [probes][examined points][SKV_MOST_CHOICES] */
    double *gain; /* [probes][examined points] sums of squared gradients */
} harm;

typedef struct worker {
    harm *h;
    skive_context *ctx;
    skive_exec *exec;
    pair *pairs;
    size_t run;
} worker;

static void fix_dims(skive_value *v, const skive_tensor *t) {
    v->type.rank = t->rank;
    for (int d = 0; d < t->rank; d++) {
        v->type.dims[d].size = t->dims[d];
        v->type.dims[d].symbol = NULL;
    }
}

/* The sum of the outputs times numbers that are further inputs. */
static skive_status add_loss(harm *h, skive_value **loss) {
    skive_graph *g = h->graph;
    skv_builder b = skv_build(g);
    const skv_kept_run *first = &h->data->check.runs[0];
    *loss = NULL;
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        skive_value *y = g->outputs[i], *signs = NULL;
        double power = 0;
        if (y->type.dtype != SKIVE_F32 || !y->producer || skv_type_count(&y->type) < 1) continue;
        const float *x = first->outputs[i].data;
        for (int64_t k = 0; k < skive_tensor_count(&first->outputs[i]); k++) power += (double)x[k] * (double)x[k];
        if (!(power > 0)) continue;
        h->size[g->n_inputs - h->n_inputs] = sqrt(power);
        SKV_TRY(skive_graph_add_input(g, NULL, &y->type, &signs));
        skive_value *product = skv_emit(&b, "Mul", SKV_IN(y, signs), SKV_NONE);
        skive_value *sum = skv_emit(&b, "ReduceSum", SKV_IN(product), SKV_ATTRS(SKV_INT("keepdims", 0)));
        *loss = *loss ? skv_emit(&b, "Add", SKV_IN(*loss, sum), SKV_NONE) : sum;
        SKV_TRY(b.status);
    }
    if (!*loss) return SKV_FAIL(h->ctx, SKIVE_ERR_UNSUPPORTED, "no float output");
    return skive_graph_infer(g);
}

static skive_status build(harm *h, const skive_graph *g) {
    skive_value *loss = NULL, **wrt = NULL, **gradients = NULL;
    const skv_kept_run *first = &h->data->probe.runs[0];
    skive_status status;
    SKV_TRY(skive_graph_copy(h->ctx, g, &h->graph));
    h->n_inputs = g->n_inputs;
    for (uint32_t i = 0; i < g->n_inputs; i++) fix_dims(h->graph->inputs[i], &first->inputs[i]);
    SKV_TRY(skive_graph_infer(h->graph));
    SKV_TRY(skv_alloc_array(h->ctx, (size_t)g->n_outputs + 1, sizeof *h->size, &h->size));
    SKV_TRY(skv_alloc_array(h->ctx, h->points->n + 1, sizeof *h->point, &h->point));
    SKV_TRY(skv_alloc_array(h->ctx, 2 * h->points->n + 1, sizeof *h->keep, &h->keep));
    SKV_TRY(add_loss(h, &loss));
    SKV_GO(status, done, skv_alloc_array(h->ctx, h->points->n + 1, sizeof(skive_value *), &wrt));
    SKV_GO(status, done, skv_alloc_array(h->ctx, h->points->n + 1, sizeof(skive_value *), &gradients));
    for (size_t k = 0; k < h->points->n; k++) {
        if (h->points->items[k].source != k || h->choices[k].n < 2) continue;
        h->point[h->n] = k;
        wrt[h->n++] = h->graph->values[h->points->items[k].value->id];
    }
    SKV_GO(status, done, skive_autodiff(h->graph, loss, wrt, h->n, gradients));
    while (h->graph->n_outputs) SKV_GO(status, done, skv_graph_remove_output(h->graph, h->graph->n_outputs - 1));
    skv_builder b = skv_build(h->graph);
    for (size_t k = 0; k < h->n; k++) {
        /* Several values may have the same gradient; each is read under its own name. */
        skive_value *own = skv_emit(&b, "Identity", SKV_IN(gradients[k]), SKV_NONE);
        SKV_GO(status, done, b.status);
        SKV_GO(status, done, skive_graph_add_output(h->graph, own));
        h->keep[k] = wrt[k]->name;
    }
    SKV_GO(status, done, skive_graph_infer(h->graph));
    skive_plan_options p = skive_plan_options_default();
    p.threads = 1;
    p.keep = h->keep;
    p.n_keep = h->n;
    status = skive_plan_create(h->ctx, h->graph, &p, &h->plan);
done:
    skv_free(h->ctx, wrt);
    skv_free(h->ctx, gradients);
    return status;
}

/* ---- one run ---- */

static void lose_unevenly(const float *x, const float *g, size_t n, const skv_quantizer *q, const skv_grid_params *p,
                          double *rounded, double *clipped) {
    double low, high;
    skv_grid_ends(q, p, &low, &high);
    for (size_t i = 0; i < n; i++) {
        float y;
        skv_grid_fake(q, p, &x[i], 1, &y);
        const double e = (double)(y - x[i]) * (double)g[i];
        if ((double)x[i] < low || (double)x[i] > high)
            *clipped += e;
        else
            *rounded += e * e;
    }
}

/* Sums over n elements: the squares of rounding errors times gradients, and clipping errors times gradients. */
static void lose(const float *x, const float *g, size_t n, const skv_quantizer *q, const skv_grid_params *p,
                 double *rounded, double *clipped) {
    const float magic = 12582912.0f, scale = p->scale, inverse = 1.0f / scale;
    const float least = (float)(q->low - p->zero_point), most = (float)(q->high - p->zero_point);
    if (!q->grid->uniform) {
        lose_unevenly(x, g, n, q, p, rounded, clipped);
        return;
    }
    for (size_t first = 0; first < n; first += BLOCK) {
        const size_t last = n - first < BLOCK ? n : first + BLOCK;
        float r = 0, c = 0;
#pragma omp simd reduction(+ : r, c)
        for (size_t i = first; i < last; i++) {
            const float t = x[i] * inverse;
            float in = t > least ? t : least;
            in = in < most ? in : most;
            const float e = (scale * ((in + magic) - magic) - x[i]) * g[i];
            c += in == t ? 0.0f : e;
            r += in == t ? e * e : 0.0f;
        }
        *rounded += (double)r;
        *clipped += (double)c;
    }
}

static skive_status take_value(void *user, size_t index, const skive_tensor *t) {
    worker *w = user;
    pair *p = &w->pairs[index];
    const size_t n = (size_t)skive_tensor_count(t);
    if (!p->value) SKV_TRY(skv_alloc_array(w->ctx, n + 1, sizeof(float), &p->value));
    memcpy(p->value, t->data, n * sizeof(float));
    p->n = n;
    return SKIVE_OK;
}

static skive_status run_one(worker *w, size_t run) {
    harm *h = w->h;
    const skv_kept_run *r = &h->data->probe.runs[run];
    skive_tensor view;
    for (uint32_t i = 0; i < h->graph->n_inputs; i++) {
        SKV_TRY(skive_exec_input(w->exec, i, &view));
        if (i < h->n_inputs) {
            memcpy(view.data, r->inputs[i].data, skive_tensor_bytes(&view));
            continue;
        }
        const float one = (float)(1 / h->size[i - h->n_inputs]);
        for (int64_t k = 0; k < skive_tensor_count(&view); k++) {
            const bool up = skv_rng_below(STREAM + i, (uint64_t)r->index, (uint64_t)k, 2) != 0;
            ((float *)view.data)[k] = up ? one : -one;
        }
    }
    SKV_TRY(skive_exec_run(w->exec));
    for (size_t k = 0; k < h->n; k++) {
        const skv_choices *c = &h->choices[h->point[k]];
        const pair *p = &w->pairs[k];
        SKV_TRY(skive_exec_output(w->exec, k, &view));
        for (int64_t i = 0; i < skive_tensor_count(&view); i++) {
            const float g = ((const float *)view.data)[i];
            h->gain[run * h->n + k] += (double)g * (double)g;
        }
        if (!p->value || (size_t)skive_tensor_count(&view) != p->n)
            return SKV_FAIL(w->ctx, SKIVE_ERR_INTERNAL, "a gradient is not of its value's size");
        for (size_t i = 0; i < c->n; i++) {
            double rounded = 0, clipped = 0;
            lose(p->value, view.data, p->n, &w->h->points->q, &c->grid[i], &rounded, &clipped);
            h->lost[(run * h->n + k) * SKV_MOST_CHOICES + i] = rounded + clipped * clipped;
        }
    }
    return SKIVE_OK;
}

static void close_worker(harm *h, worker *w) {
    for (size_t k = 0; w->pairs && k < h->n; k++) skv_free(w->ctx, w->pairs[k].value);
    skv_free(h->ctx, w->pairs);
    skive_exec_free(w->exec);
    skive_context_free(w->ctx);
}

static skive_status open_worker(harm *h, worker *w) {
    w->h = h;
    SKV_TRY(skv_context_fork(h->ctx, &w->ctx));
    SKV_TRY(skive_context_set_threads(w->ctx, 1));
    SKV_TRY(skv_alloc_array(h->ctx, h->n + 1, sizeof *w->pairs, &w->pairs));
    const skive_status status = skive_exec_create(w->ctx, h->plan, &w->exec);
    if (status != SKIVE_OK) return SKV_FAIL(h->ctx, status, "%s", skive_context_message(w->ctx));
    skive_exec_set_tap(w->exec, take_value, w);
    return SKIVE_OK;
}

static skive_status run_all(harm *h) {
    const size_t each = 2 * skive_plan_arena_bytes(h->plan) + 1, fit = MEMORY_AT_ONCE / each, runs = h->data->probe.n;
    size_t n = (size_t)skv_threads(h->ctx);
    n = n < runs ? n : runs;
    n = n < fit ? n : fit ? fit : 1;
    worker *workers = NULL;
    skive_status *statuses = NULL, status;
    SKV_TRY(skv_alloc_array(h->ctx, n, sizeof *workers, &workers));
    SKV_GO(status, done, skv_alloc_array(h->ctx, n, sizeof *statuses, &statuses));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, open_worker(h, &workers[i]));
#pragma omp parallel for num_threads((int)n) schedule(static, 1) if (n > 1)
    for (size_t i = 0; i < n; i++) {
        for (size_t run = i; statuses[i] == SKIVE_OK && run < runs; run += n) statuses[i] = run_one(&workers[i], run);
    }
    for (size_t i = 0; status == SKIVE_OK && i < n; i++) {
        if (statuses[i] != SKIVE_OK)
            status = SKV_FAIL(h->ctx, statuses[i], "%s", skive_context_message(workers[i].ctx));
    }
done:
    for (size_t i = 0; i < n; i++) close_worker(h, &workers[i]);
    skv_free(h->ctx, workers);
    skv_free(h->ctx, statuses);
    return status;
}

/* ---- the choice ---- */

/* Mean square of the clipping error of the grid, for the values of runs that are not spoilt. */
static double clipped_off(const skv_histogram *h, const skv_quantizer *q, const skv_grid_params *p, skv_extent within) {
    double low, high, sum = 0, from, to;
    skv_grid_ends(q, p, &low, &high);
    for (int64_t i = 0; i < SKV_HISTOGRAM_BINS; i++) {
        if (h->relative[i] == 0) continue;
        skv_histogram_ends(h, i, &from, &to);
        const double x = (from + to) / 2, d = x > high ? x - high : x < low ? low - x : 0;
        if (d > 0 && x >= (double)within.low && x <= (double)within.high) sum += d * d * (double)h->relative[i];
    }
    return sum / (double)h->count;
}

static void choose_weighted(const harm *h) {
    for (size_t k = 0; k < h->n; k++) {
        skv_choices *c = &h->choices[h->point[k]];
        const skv_point *p = &h->points->items[h->point[k]];
        const skv_extent within = skv_quant_unspoilt(h->points, p);
        double best = INFINITY;
        for (size_t i = 0; i < c->n; i++) {
            const double clipped = clipped_off(&p->seen, &h->points->q, &c->grid[i], within);
            double lost = 0;
            for (size_t run = 0; run < h->data->probe.n; run++) {
                if (skv_quant_is_spoilt(h->points, h->data->probe.runs[run].index)) continue;
                const double *own = &h->lost[(run * h->n + k) * SKV_MOST_CHOICES];
                lost += own[i] + h->gain[run * h->n + k] * clipped;
            }
            if (lost >= best) continue; /* the first of equals, which is the widest */
            best = lost;
            c->best = i;
        }
    }
}

static void choose_by_error(const skv_points *points, skv_choices *choices) {
    for (size_t k = 0; k < points->n; k++) {
        double best = INFINITY;
        for (size_t i = 0; i < choices[k].n; i++) {
            const double error = skv_histogram_error(&points->items[k].seen, &points->q, &choices[k].grid[i]);
            if (error >= best) continue;
            best = error;
            choices[k].best = i;
        }
    }
}

skive_status skv_quant_least_harm(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                  const skv_points *points, const skv_calibration_data *data, skv_choices *choices,
                                  bool *weighted) {
    harm h = {.ctx = ctx, .o = o, .points = points, .data = data, .choices = choices};
    skive_status status = SKIVE_ERR_UNSUPPORTED;
    choose_by_error(points, choices);
    *weighted = false;
    if (data->probe.n == 0 || !data->check.runs[0].outputs) return SKIVE_OK;
    status = build(&h, g);
    if (status == SKIVE_OK && h.n > 0 && skive_plan_arena_bytes(h.plan) <= 2 * MEMORY_AT_ONCE) {
        status = skv_alloc_array(ctx, data->probe.n * h.n * SKV_MOST_CHOICES, sizeof *h.lost, &h.lost);
        if (status == SKIVE_OK) status = skv_alloc_array(ctx, data->probe.n * h.n, sizeof *h.gain, &h.gain);
        if (status == SKIVE_OK) status = run_all(&h);
        if (status == SKIVE_OK) choose_weighted(&h);
        *weighted = status == SKIVE_OK;
    }
    skv_free(ctx, h.size);
    skv_free(ctx, h.point);
    skv_free(ctx, h.keep);
    skv_free(ctx, h.lost);
    skv_free(ctx, h.gain);
    skive_plan_free(h.plan);
    skive_graph_free(h.graph);
    /* A model without a gradient is not an error: the errors of the values themselves decide. */
    return status == SKIVE_ERR_MEMORY || status == SKIVE_ERR_INTERRUPTED ? status : SKIVE_OK;
}
