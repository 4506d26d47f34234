/* The whole observed range. */
#include "quant/quant.h"

static void choose(const skv_histogram *h, const skv_quantizer *q, const skive_quantize_options *o, double *low,
                   double *high) {
    (void)q;
    (void)o;
    *low = h->low;
    *high = h->high;
}

const skv_observer skv_observer_minmax = {
    .name = "minmax", .brief = "takes the whole observed range", .choose = choose};
