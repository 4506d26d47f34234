/* Area under the ROC curve: of two classes that of class 1; of more classes, and of labels, the mean over those that
 * have both kinds of samples, each against the rest (Hanley & McNeil 1982; Fawcett 2006). Logits of several classes are
 * ranked by the probability that they give, as scores of different samples are not comparable otherwise. */
#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    (void)scratch;
    return skv_mean_area(s, weight, false);
}

const skv_metric skv_metric_auc = {
    .name = "auc",
    .title = "AUC",
    .many = "AUC, mean",
    .brief = "area under the ROC curve; of several classes the mean of each against the rest, of labels their mean",
    .tasks = SKV_OF_CLASSES | SKV_OF(SKIVE_TASK_LABELS),
    .form = SKIVE_FIGURE_RATIO,
    .costly = true,
    .by_column = true,
    .field = SKV_REPORT(auc),
    .prepare = skv_scored_rank,
    .value = value,
};
