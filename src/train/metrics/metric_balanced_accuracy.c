/* Balanced accuracy (Brodersen et al. 2010): the mean of the recalls of the classes that occur. */
#include <math.h>

#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    const int64_t k = s->classes;
    const double *right = scratch, *is = scratch + 2 * k;
    double sum = 0, known = 0;
    skv_scored_counts(s, weight, scratch, scratch + k, scratch + 2 * k);
    for (int64_t c = 0; c < k; c++) {
        if (is[c] == 0) continue;
        sum += right[c] / is[c];
        known++;
    }
    return known > 0 ? sum / known : (double)NAN;
}

const skv_metric skv_metric_balanced_accuracy = {
    .name = "balanced-accuracy",
    .title = "balanced accuracy",
    .brief = "mean of the recalls of the classes that occur",
    .tasks = SKV_OF_CLASSES | SKV_OF(SKIVE_TASK_PLACES),
    .form = SKIVE_FIGURE_PERCENT,
    .value = value,
};
