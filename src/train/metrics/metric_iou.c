/* Mean intersection over union (Everingham et al. 2010): of each class TP / (TP + FP + FN) over the places of all
 * samples; mean over the classes that occur or are predicted, or one of them. */
#include <math.h>
#include <stdio.h>

#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    const int64_t k = s->classes, only = skv_metric_integer(s, &skv_metric_iou, "class");
    double sum = 0, known = 0;
    skv_scored_counts(s, weight, scratch, scratch + k, scratch + 2 * k);
    for (int64_t c = 0; c < k; c++) {
        const double both = scratch[c], either = scratch[k + c] + scratch[2 * k + c] - both;
        if (either == 0 || (only >= 0 && c != only)) continue;
        sum += both / either;
        known++;
    }
    return known > 0 ? sum / known : (double)NAN;
}

static void entitle(const skv_scored *s, char *title, size_t size) {
    const int64_t only = skv_metric_integer(s, &skv_metric_iou, "class");
    if (only >= 0) snprintf(title, size, "IoU of class %lld", (long long)only);
}

static const skv_option options[] = {SKV_METRIC_CLASS};

const skv_metric skv_metric_iou = {
    .name = "iou",
    .title = "mean IoU",
    .brief = "of labels of places (pixels): intersection over union of what is said and true, mean over the classes",
    .tasks = SKV_OF(SKIVE_TASK_PLACES),
    .form = SKIVE_FIGURE_RATIO,
    SKV_OPTIONS(options),
    .entitle = entitle,
    .value = value,
};
