/* The range that holds a given percentage of the values on each side: outliers are clipped. */
#include "quant/quant.h"

static void choose(const skv_histogram *h, const skive_quantize_options *o, double *low, double *high) {
    const double tail = (1.0 - o->percentile / 100.0) * (double)h->count, width = 2 * h->reach / SKV_HISTOGRAM_BINS;
    double below = 0, above = 0;
    int64_t first = 0, last = SKV_HISTOGRAM_BINS - 1;
    while (first < last && below + (double)h->bins[first] <= tail) below += (double)h->bins[first++];
    while (last > first && above + (double)h->bins[last] <= tail) above += (double)h->bins[last--];
    *low = skv_histogram_center(h, first) - width / 2;
    *high = skv_histogram_center(h, last) + width / 2;
    if (*low < h->low) *low = h->low;
    if (*high > h->high) *high = h->high;
}

const skv_observer skv_observer_percentile = {
    .name = "percentile",
    .brief = "all but the outermost values (--percentile, default 99.99)",
    .needs_bins = true,
    .choose = choose,
};
