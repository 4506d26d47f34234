/* The candidate ranges of a value's grid. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/quant.h"

#define FAR_OUT  8.0  /* factor to the largest value inside, with nothing between */
#define FARTHEST 32.0 /* times the largest of a usual run: the widest cut */
#define SPOILT   16.0 /* times the largest of a usual run: such an input may have spoilt its run */
#define GAP      4.0  /* times the largest of the runs below */
#define FEW      1e-3 /* fraction of the values that may be far out */

/* One side of zero, from the outside: the largest magnitude without the few values far out, or that of all values. */
typedef struct side {
    double kept, outermost;
    bool cut, few; /* few: all values of this side are few enough to be left out */
} side;

static side side_of(const skv_histogram *h, bool positive) {
    const int64_t n = SKV_HISTOGRAM_BINS;
    side s = {.few = true};
    double outside = 0, last = 0, from, to;
    for (int64_t k = 0; k < n / 2 - 1; k++) {
        const int64_t bin = positive ? n - 1 - k : k;
        if (h->relative[bin] == 0) continue;
        skv_histogram_ends(h, bin, &from, &to);
        const double far = positive ? to : -from, near = positive ? from : -to;
        if (outside == 0) s.outermost = s.kept = far;
        if (outside > 0 && last > FAR_OUT * far) {
            s.kept = far;
            s.cut = true;
        }
        last = near;
        outside += (double)h->relative[bin];
        s.few = outside <= fmax(FEW * (double)h->count, 2);
        if (!s.few) break;
    }
    return s;
}

bool skv_quant_far_out(const skv_histogram *h, double *low, double *high) {
    side down = side_of(h, false), up = side_of(h, true);
    if (!down.cut && down.few && !up.few && down.outermost > FAR_OUT * up.kept) down = (side){.cut = true};
    if (!up.cut && up.few && !down.few && up.outermost > FAR_OUT * down.kept) up = (side){.cut = true};
    *low = down.cut ? -down.kept : h->low;
    *high = up.cut ? up.kept : h->high;
    return down.cut || up.cut;
}

static int compare(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float top_of(skv_extent e) { return e.high > -e.low ? e.high : -e.low; }

/* The largest magnitude of each run, sorted. */
static size_t sorted_tops(const skv_point *p, float *sorted) {
    size_t n = 0;
    for (size_t i = 0; i < SKV_MOST_RUNS; i++) {
        if (p->runs[i].low <= p->runs[i].high) sorted[n++] = top_of(p->runs[i]);
    }
    qsort(sorted, n, sizeof *sorted, compare);
    return n;
}

/* The largest magnitude in a usual run: the median over the runs. */
static double usual_top(const skv_point *p) {
    float sorted[SKV_MOST_RUNS];
    const size_t n = sorted_tops(p, sorted);
    return n ? (double)sorted[(n - 1) / 2] : 0;
}

/* The magnitude from which on a run is spoilt: many times that of a usual run, with a gap below it, which is absent if
 * samples are merely large. */
static double spoilt_from(const skv_point *p) {
    float sorted[SKV_MOST_RUNS];
    const size_t n = sorted_tops(p, sorted), middle = n ? (n - 1) / 2 : 0;
    const double usual = n ? (double)sorted[middle] : 0;
    for (size_t i = middle + 1; usual > 0 && i < n; i++) {
        const double top = (double)sorted[i], below = (double)sorted[i - 1];
        if (top > SPOILT * usual && top > GAP * below) return top;
    }
    return INFINITY;
}

/* Judged by the points nearest to the model's input: a marker for a missing value may spoil many of the values computed
 * from it. */
void skv_quant_find_spoilt(skv_points *points) {
    for (size_t k = 0; k < points->n; k++) {
        const skv_point *p = &points->items[k];
        if (p->source != k || (k > 0 && !p->value->is_input)) continue;
        const double from = spoilt_from(p);
        for (size_t i = 0; i < SKV_MOST_RUNS; i++) {
            if (p->runs[i].low > p->runs[i].high || (double)top_of(p->runs[i]) < from || points->spoilt[i]) continue;
            points->spoilt[i] = true;
            points->n_spoilt++;
        }
    }
}

skv_extent skv_quant_unspoilt(const skv_points *points, const skv_point *p) {
    skv_extent all = {(float)p->seen.low, (float)p->seen.high}, e = {1, -1};
    if (points->n_spoilt == 0) return all;
    for (size_t i = 0; i < SKV_MOST_RUNS; i++) {
        const skv_extent run = p->runs[i];
        if (run.low > run.high || points->spoilt[i]) continue;
        if (e.low > e.high) e = run;
        e.low = run.low < e.low ? run.low : e.low;
        e.high = run.high > e.high ? run.high : e.high;
    }
    return e.low <= e.high ? e : all;
}

/* Proposals of one kind: the observers in their order, then the range of runs that are not spoilt, that without values
 * far out, and those clipped at a multiple of the largest magnitude of a usual run. False if there is none of this
 * kind. */
enum { CUTS = 6 };
static const char *const cut_names[CUTS] = {"cut at 32", "cut at 16", "cut at 8", "cut at 4", "cut at 2", "cut at 1"};

bool skv_quant_range(const skv_points *points, const skv_point *p, const skive_quantize_options *o, const char *name,
                     double *low, double *high) {
    const skv_observer *observer = skv_observer_find(name);
    const skv_histogram *h = &p->seen;
    if (observer) {
        const skv_quantizer own = skv_quantizer_from(&points->q, h->low);
        observer->choose(h, &own, o, low, high);
        return true;
    }
    if (strcmp(name, "unspoilt") == 0) {
        const skv_extent e = skv_quant_unspoilt(points, p);
        *low = fmax((double)e.low, h->low);
        *high = fmin((double)e.high, h->high);
        return *low > h->low || *high < h->high;
    }
    if (strcmp(name, "gap") == 0) return skv_quant_far_out(h, low, high);
    const double usual = usual_top(p);
    int k = 0;
    while (k < CUTS && strcmp(name, cut_names[k]) != 0) k++;
    const double limit = FARTHEST * usual / (1 << k);
    if (k == CUTS || !(usual > 0) || limit >= fmax(h->high, -h->low)) return false;
    *low = fmax(h->low, -limit);
    *high = fmin(h->high, limit);
    return true;
}

static void propose_one(const skv_points *points, const skv_point *p, const skive_quantize_options *o, const char *name,
                        skv_choices *c) {
    if (!skv_quant_range(points, p, o, name, &c->low[c->n], &c->high[c->n])) return;
    c->name[c->n] = name;
    const skv_quantizer own = skv_quantizer_from(&points->q, c->low[c->n]);
    own.grid->solve_range(&own, c->low[c->n], c->high[c->n], &c->grid[c->n]);
    c->n++;
}

void skv_quant_propose(skive_context *ctx, const skive_quantize_options *o, const skv_points *points,
                       skv_choices *choices) {
#pragma omp parallel for num_threads(skv_threads(ctx)) schedule(dynamic)
    for (size_t k = 0; k < points->n; k++) {
        const skv_point *p = &points->items[k];
        if (p->source != k || !(p->seen.reach > 0)) continue;
        for (size_t i = 0; i < skv_observer_count(); i++)
            propose_one(points, p, o, skv_observer_at(i)->name, &choices[k]);
        propose_one(points, p, o, "unspoilt", &choices[k]);
        propose_one(points, p, o, "gap", &choices[k]);
        for (int i = 0; i < CUTS; i++) propose_one(points, p, o, cut_names[i], &choices[k]);
    }
}
