/* Mean intersection over union (Everingham et al. 2010): of each class TP / (TP + FP + FN) over the places of all
 * samples; mean over the classes that occur or are predicted. */
#include <math.h>

#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    const int64_t k = s->classes;
    double sum = 0, known = 0;
    skv_scored_counts(s, weight, scratch, scratch + k, scratch + 2 * k);
    for (int64_t c = 0; c < k; c++) {
        const double both = scratch[c], either = scratch[k + c] + scratch[2 * k + c] - both;
        if (either == 0) continue;
        sum += both / either;
        known++;
    }
    return known > 0 ? sum / known : (double)NAN;
}

const skv_metric skv_metric_iou = {
    .name = "iou",
    .title = "mean IoU",
    .brief = "of labels of places (pixels): intersection over union of what is said and true, mean over the classes",
    .tasks = SKV_OF(SKIVE_TASK_PLACES),
    .form = SKIVE_FIGURE_RATIO,
    .value = value,
};
