/* F1 over all decisions of all labels: 2 TP / (2 TP + FP + FN). */
#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    const int64_t k = s->targets;
    double sum[3] = {0, 0, 0};
    skv_scored_counts(s, weight, scratch, scratch + k, scratch + 2 * k);
    for (int64_t i = 0; i < 3 * k; i++) sum[i / k] += scratch[i];
    return skv_f1(sum[0], sum[1], sum[2]);
}

const skv_metric skv_metric_f1_micro = {
    .name = "f1-micro",
    .title = "F1 micro",
    .brief = "F1 over the decisions of all labels",
    .tasks = SKV_OF(SKIVE_TASK_LABELS),
    .form = SKIVE_FIGURE_RATIO,
    .by_column = true,
    .field = SKV_REPORT(f1_micro),
    .value = value,
};
