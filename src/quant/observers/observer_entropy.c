/* The range whose quantized distribution has the smallest Kullback-Leibler divergence from the observed one (Migacz,
 * "8-bit inference with TensorRT", 2017): for each candidate the values outside are counted into the outermost bins
 * (P), the bins inside are merged into the grid's levels and spread again over the nonempty ones (Q). One-sided data
 * uses all levels on its side; two-sided data a symmetric window. Zero is a level of every grid: the zeros after a ReLU
 * are exact in every range, and counting them would pull the range towards zero. */
#include <math.h>

#include "quant/quant.h"

enum { BINS = SKV_HISTOGRAM_BINS, MOST_LEVELS = 256, STEP = 64 };

/* The grid laid over bins [first, last): level k gets bins edge[k] to edge[k + 1]. */
typedef struct levels {
    int64_t n, edge[MOST_LEVELS + 1];
} levels;

/* Divergence when bins [first, last) are kept. */
static double divergence(const double *bins, const levels *g, int64_t first, int64_t last) {
    double outside_low = 0, outside_high = 0, total = 0, inside = 0, sum = 0;
    for (int64_t b = 0; b < BINS; b++) {
        const double c = bins[b];
        total += c;
        if (b < first)
            outside_low += c;
        else if (b >= last)
            outside_high += c;
        else
            inside += c;
    }
    if (!(inside > 0)) return INFINITY;
    for (int64_t level = 0; level < g->n; level++) {
        const int64_t from = g->edge[level], to = g->edge[level + 1];
        double mass = 0;
        int64_t used = 0;
        for (int64_t b = from; b < to; b++) {
            mass += bins[b];
            used += bins[b] > 0;
        }
        if (used == 0) continue;
        const double q = mass / (double)used / inside;
        for (int64_t b = from; b < to; b++) {
            double p = bins[b];
            if (!(p > 0)) continue;
            if (b == first) p += outside_low;
            if (b == last - 1) p += outside_high;
            p /= total;
            sum += p * log(p / q);
        }
    }
    /* Outliers in an empty outermost bin have no counterpart in Q, which makes the candidate worse. */
    if (outside_low > 0 && !(bins[first] > 0)) sum += outside_low / total * log(total);
    if (outside_high > 0 && !(bins[last - 1] > 0)) sum += outside_high / total * log(total);
    return sum;
}

/* The counts, with the bin that begins at zero set to that of its neighbour. */
static void without_zeros(const skv_histogram *h, double *bins) {
    const int64_t middle = BINS / 2;
    for (int64_t b = 0; b < BINS; b++) bins[b] = (double)h->bins[b];
    const double beside = h->low < 0 ? (bins[middle - 1] + bins[middle + 1]) / 2 : bins[middle + 1];
    if (bins[middle] > beside) bins[middle] = beside;
}

/* Uniform grids share the bins out evenly; of others, levels meet in the middle. */
static void lay(const skv_quantizer *q, int64_t first, int64_t last, double width, levels *g) {
    const int64_t middle = BINS / 2;
    if (q->grid->uniform) {
        g->n = (int64_t)q->high - q->low + 1;
        for (int64_t k = 0; k <= g->n; k++) g->edge[k] = first + k * (last - first) / g->n;
        return;
    }
    float level[MOST_LEVELS];
    skv_grid_params p;
    q->grid->solve_range(q, (double)(first - middle) * width, (double)(last - middle) * width, &p);
    g->n = (int64_t)skv_grid_levels(q, &p, level, MOST_LEVELS);
    g->edge[0] = first;
    for (int64_t k = 1; k < g->n; k++) {
        const double at = ((double)level[k - 1] + (double)level[k]) / 2 / width;
        g->edge[k] = middle + (int64_t)fmin(fmax(rint(at), (double)(first - middle)), (double)(last - middle));
    }
    g->edge[g->n] = last;
}

static void choose(const skv_histogram *h, const skv_quantizer *q, const skive_quantize_options *o, double *low,
                   double *high) {
    const int64_t middle = BINS / 2;
    const double width = 2 * h->reach / BINS;
    /* The bins covered by the observed range, including zero. */
    const int64_t below = h->low < 0 ? middle - (int64_t)ceil(-h->low / width) : middle;
    const int64_t above = h->high > 0 ? middle + (int64_t)ceil(h->high / width) : middle;
    const int64_t most = middle - below > above - middle ? middle - below : above - middle;
    const int64_t n_levels = (int64_t)q->high - q->low + 1;
    double best = INFINITY, bins[BINS];
    levels grid;
    int64_t kept = most;
    (void)o;
    *low = h->low;
    *high = h->high;
    if (n_levels > MOST_LEVELS) return; /* so fine a grid need not clip */
    without_zeros(h, bins);
    for (int64_t half = most; half >= n_levels / 2 && half > 0; half -= STEP) {
        const int64_t first = middle - half > below ? middle - half : below;
        const int64_t last = middle + half < above ? middle + half : above;
        if (last - first < n_levels) break;
        lay(q, first, last, width, &grid);
        const double d = divergence(bins, &grid, first, last);
        if (d >= best) continue; /* the widest of equals */
        best = d;
        kept = half;
    }
    const double reach = (double)kept * width;
    *low = h->low > -reach ? h->low : -reach;
    *high = h->high < reach ? h->high : reach;
}

const skv_observer skv_observer_entropy = {
    .name = "entropy",
    .brief = "minimises the Kullback-Leibler divergence of the quantized distribution",
    .bins = SKV_BINS_EQUAL,
    .choose = choose,
};
