/* The range with the least mean squared error of the quantized values, among 81 scalings, 1 to 0.2, of the observed
 * range. */
#include "quant/quant.h"

enum { CANDIDATES = 100 };

static void choose(const skv_histogram *h, const skv_quantizer *q, const skive_quantize_options *o, double *low,
                   double *high) {
    const double lo = h->low < 0 ? h->low : 0, hi = h->high > 0 ? h->high : 0;
    skv_span spans[SKV_HISTOGRAM_BINS];
    const size_t n = skv_histogram_spans(h, spans);
    double best = -1;
    (void)o;
    for (int i = CANDIDATES; i >= 20; i--) {
        const double part = (double)i / CANDIDATES;
        skv_grid_params p;
        q->grid->solve_range(q, lo * part, hi * part, &p);
        const double error = skv_spans_error(spans, n, q, &p);
        if (best >= 0 && error >= best) continue;
        best = error;
        *low = lo * part;
        *high = hi * part;
    }
}

const skv_observer skv_observer_mse = {
    .name = "mse",
    .brief = "minimises the mean squared error of the quantized values",
    .bins = SKV_BINS_RELATIVE,
    .choose = choose,
};
