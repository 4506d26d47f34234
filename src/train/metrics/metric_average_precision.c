/* Average precision, the sum of precision times the gain of recall over falling scores: of two classes that of class 1;
 * of more classes, and of labels, the mean over those that occur (mAP). */
#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    (void)scratch;
    return skv_mean_area(s, weight, true);
}

const skv_metric skv_metric_average_precision = {
    .name = "average-precision",
    .title = "average precision",
    .many = "mAP",
    .brief = "area under precision over recall; of several classes or labels the mean",
    .tasks = SKV_OF_CLASSES | SKV_OF(SKIVE_TASK_LABELS),
    .form = SKIVE_FIGURE_RATIO,
    .costly = true,
    .by_column = true,
    .field = SKV_REPORT(map),
    .prepare = skv_scored_rank,
    .value = value,
};
