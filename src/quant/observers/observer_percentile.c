/* The range without the outermost values. */
#include "quant/quant.h"

static void choose(const skv_histogram *h, const skv_quantizer *q, const skive_quantize_options *o, double *low,
                   double *high) {
    const double tail = (1.0 - o->percentile / 100.0) * (double)h->count;
    double below = 0, above = 0, near, far;
    int64_t first = 0, last = SKV_HISTOGRAM_BINS - 1;
    (void)q;
    while (first < last && below + (double)h->relative[first] <= tail) below += (double)h->relative[first++];
    while (last > first && above + (double)h->relative[last] <= tail) above += (double)h->relative[last--];
    /* The rest of the tail ends within a bin, in which values are assumed to be spread evenly. */
    skv_histogram_ends(h, first, &near, &far);
    *low = h->relative[first] ? near + (far - near) * (tail - below) / (double)h->relative[first] : near;
    skv_histogram_ends(h, last, &near, &far);
    *high = h->relative[last] ? far - (far - near) * (tail - above) / (double)h->relative[last] : far;
}

static const skv_option options[] = {
    {.name = "percentile",
     .type = SKV_OPTION_REAL,
     .least = 50,
     .most = 100,
     .above = true,
     .fallback = 99.99,
     SKV_FIELD(DOUBLE, skive_quantize_options, percentile),
     .brief = "percentile for the calibration method of this name"},
};

const skv_observer skv_observer_percentile = {
    .name = "percentile",
    .brief = "clips the outermost values",
    SKV_OPTIONS(options),
    .bins = SKV_BINS_RELATIVE,
    .choose = choose,
};
