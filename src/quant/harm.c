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

#include "probe/stateless.h"
#include "quant/quant.h"

enum { BLOCK = 1024, STREAM = 77 };
#define MEMORY_AT_ONCE ((size_t)512 << 20)

/* ---- the loss ---- */

typedef struct harm {
    skive_context *ctx;
    const skv_points *points;
    const skv_calibration_data *data;
    skv_choices *choices;
    skive_graph *graph;
    const char *loss;
    uint32_t n_inputs; /* of the model; the inputs after these are the signs */
    double *size;      /* [signs] of the output */
    struct looked *at; /* [n] */
    size_t n;          /* points looked at */
    double *lost;      /* [probes][points looked at][SKV_MOST_CHOICES] */
    double *gain;      /* [probes][points looked at] sums of squared gradients */
} harm;

/* A point that is looked at: the user of the probe's item. */
typedef struct looked {
    harm *h;
    size_t k, point;
} looked;

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
    skive_value *loss = NULL;
    const skv_kept_run *first = &h->data->probe.runs[0];
    SKV_TRY(skive_graph_copy(h->ctx, g, &h->graph));
    h->n_inputs = g->n_inputs;
    for (uint32_t i = 0; i < g->n_inputs; i++) fix_dims(h->graph->inputs[i], &first->inputs[i]);
    SKV_TRY(skive_graph_infer(h->graph));
    SKV_TRY(skv_alloc_array(h->ctx, (size_t)g->n_outputs + 1, sizeof *h->size, &h->size));
    SKV_TRY(add_loss(h, &loss));
    h->loss = loss->name;
    return SKIVE_OK;
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

/* What each range would cost in this run. */
static skive_status add(const skv_reduction *r, void *state, const skv_seen *seen) {
    const looked *l = state;
    harm *h = l->h;
    const skv_choices *c = &h->choices[l->point];
    const size_t at = (size_t)seen->run * h->n + l->k;
    (void)r;
    for (size_t i = 0; i < seen->n; i++) h->gain[at] += (double)seen->gradient[i] * (double)seen->gradient[i];
    for (size_t i = 0; i < c->n; i++) {
        const skv_quantizer own = skv_quantizer_from(&h->points->q, c->low[i]);
        double rounded = 0, clipped = 0;
        lose(seen->x, seen->gradient, seen->n, &own, &c->grid[i], &rounded, &clipped);
        h->lost[at * SKV_MOST_CHOICES + i] = rounded + clipped * clipped;
    }
    return SKIVE_OK;
}

static const skv_reducer costs = {
    .name = "harm", .brief = "what each range proposed for a value costs", SKV_STATELESS, .add = add};

static skive_status feed(void *user, int64_t *run, skive_tensor *inputs, size_t n) {
    const harm *h = user;
    const skv_kept_run *r = &h->data->probe.runs[*run];
    for (size_t i = 0; i < n; i++) {
        if (i < h->n_inputs) {
            memcpy(inputs[i].data, r->inputs[i].data, skive_tensor_bytes(&inputs[i]));
            continue;
        }
        const float one = (float)(1 / h->size[i - h->n_inputs]);
        for (int64_t k = 0; k < skive_tensor_count(&inputs[i]); k++) {
            const bool up = skv_rng_below(STREAM + i, (uint64_t)r->index, (uint64_t)k, 2) != 0;
            ((float *)inputs[i].data)[k] = up ? one : -one;
        }
    }
    return SKIVE_OK;
}

static skive_status list_points(harm *h, skv_probe_item **items) {
    SKV_TRY(skv_alloc_array(h->ctx, h->points->n + 1, sizeof *h->at, &h->at));
    SKV_TRY(skv_alloc_array(h->ctx, h->points->n + 1, sizeof **items, items));
    for (size_t k = 0; k < h->points->n; k++) {
        if (h->points->items[k].source != k || h->choices[k].n < 2) continue;
        h->at[h->n] = (looked){h, h->n, k};
        (*items)[h->n] = (skv_probe_item){.value = h->points->items[k].value->name,
                                          .of = SKV_OF_BOTH,
                                          .axis = SKV_IN_ALL,
                                          .reducer = &costs,
                                          .user = &h->at[h->n]};
        h->n++;
    }
    return SKIVE_OK;
}

static skive_status run_all(harm *h) {
    const size_t runs = h->data->probe.n;
    const skv_probe_pass pass = {.feed = feed, .user = h, .runs = (int64_t)runs};
    skv_probe_item *items = NULL;
    skv_probe *probe = NULL;
    skive_status status;
    SKV_GO(status, done, list_points(h, &items));
    if (h->n == 0) {
        status = SKIVE_ERR_UNSUPPORTED;
        goto done;
    }
    SKV_GO(status, done, skv_alloc_array(h->ctx, runs * h->n * SKV_MOST_CHOICES, sizeof *h->lost, &h->lost));
    SKV_GO(status, done, skv_alloc_array(h->ctx, runs * h->n, sizeof *h->gain, &h->gain));
    const skv_probe_setup s = {.graph = h->graph,
                               .loss = h->loss,
                               .items = items,
                               .n_items = h->n,
                               .plan = skive_plan_options_default(),
                               .runs = (int64_t)runs,
                               .memory = MEMORY_AT_ONCE,
                               .most = 2 * MEMORY_AT_ONCE,
                               .constant_parameters = true};
    SKV_GO(status, done, skv_probe_open(h->ctx, &s, &probe));
    status = skv_probe_run(probe, &pass, NULL);
done:
    skv_probe_free(probe);
    skv_free(h->ctx, items);
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
        skv_choices *c = &h->choices[h->at[k].point];
        const skv_point *p = &h->points->items[h->at[k].point];
        const skv_extent within = skv_quant_unspoilt(h->points, p);
        double best = INFINITY;
        for (size_t i = 0; i < c->n; i++) {
            const skv_quantizer q = skv_quantizer_from(&h->points->q, c->low[i]);
            const double clipped = clipped_off(&p->seen, &q, &c->grid[i], within);
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
            const skv_quantizer own = skv_quantizer_from(&points->q, choices[k].low[i]);
            const double error = skv_histogram_error(&points->items[k].seen, &own, &choices[k].grid[i]);
            if (error >= best) continue;
            best = error;
            choices[k].best = i;
        }
    }
}

skive_status skv_quant_least_harm(skive_context *ctx, const skive_graph *g, const skv_points *points,
                                  const skv_calibration_data *data, skv_choices *choices, bool *weighted) {
    harm h = {.ctx = ctx, .points = points, .data = data, .choices = choices};
    choose_by_error(points, choices);
    *weighted = false;
    if (data->probe.n == 0 || !data->check.runs[0].outputs) return SKIVE_OK;
    skive_status status = build(&h, g);
    if (status == SKIVE_OK) status = run_all(&h);
    if (status == SKIVE_OK) choose_weighted(&h);
    *weighted = status == SKIVE_OK;
    skv_free(ctx, h.size);
    skv_free(ctx, h.at);
    skv_free(ctx, h.lost);
    skv_free(ctx, h.gain);
    skive_graph_free(h.graph);
    /* A model without a gradient, or one that would take too much memory, is not an error: the errors of the values
     * themselves decide. */
    return status == SKIVE_ERR_MEMORY || status == SKIVE_ERR_INTERRUPTED ? status : SKIVE_OK;
}
