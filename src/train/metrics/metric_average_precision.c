/* Average precision, the sum of precision times the gain of recall over falling scores: of two classes that of class 1;
 * of more classes, and of labels, the mean over those that occur (mAP), or that of one of them. */
#include <math.h>
#include <stdio.h>

#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    const int64_t only = skv_metric_integer(s, &skv_metric_average_precision, "class");
    double auc, one = NAN;
    (void)scratch;
    /* Of two classes the one column is that of class 1. */
    const int64_t first = s->columns == 1 && s->task != SKIVE_TASK_LABELS;
    if (only >= first && s->ranks) skv_ranks_areas(&s->ranks[only - first], s->n, weight, &auc, &one);
    if (only >= 0) return one;
    return skv_mean_area(s, weight, true);
}

static void entitle(const skv_scored *s, char *title, size_t size) {
    const int64_t only = skv_metric_integer(s, &skv_metric_average_precision, "class");
    if (only >= 0) snprintf(title, size, "average precision of class %lld", (long long)only);
}

static const skv_option options[] = {SKV_METRIC_CLASS};

const skv_metric skv_metric_average_precision = {
    .name = "average-precision",
    .title = "average precision",
    .many = "mAP",
    .brief = "area under precision over recall; of several classes or labels the mean; of two classes that of class 1",
    .tasks = SKV_OF_CLASSES | SKV_OF(SKIVE_TASK_LABELS),
    .form = SKIVE_FIGURE_RATIO,
    .costly = true,
    .by_column = true,
    .field = SKV_REPORT(map),
    SKV_OPTIONS(options),
    .entitle = entitle,
    .prepare = skv_scored_rank,
    .value = value,
};
