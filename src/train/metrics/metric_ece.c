/* Expected calibration error (Guo et al. 2017): the samples in 15 bins of equal width by the probability of the
 * predicted class; the mean over the samples of how far, in their bin, the accuracy is from the mean probability. */
#include <math.h>

#include "train/metric.h"

enum { BINS = 15 };

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    double gap[BINS] = {0}, n = 0, sum = 0;
    (void)scratch;
    for (int64_t i = 0; i < s->n; i++) {
        const double w = skv_weight_of(weight, i), p = (double)s->confidence[i];
        int bin = (int)ceil(p * BINS) - 1; /* (b / BINS, (b + 1) / BINS] */
        bin = bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
        gap[bin] += w * (s->hit[i] - p);
        n += w;
    }
    for (int b = 0; b < BINS; b++) sum += fabs(gap[b]);
    return n > 0 ? sum / n : (double)NAN;
}

const skv_metric skv_metric_ece = {
    .name = "ece",
    .title = "calibration error",
    .brief = "expected calibration error: distance of probability and accuracy in 15 bins",
    .tasks = SKV_OF_CLASSES,
    .form = SKIVE_FIGURE_RATIO,
    .less = true,
    .value = value,
};
