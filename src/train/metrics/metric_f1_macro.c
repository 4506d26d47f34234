/* F1 of each class or label, 2 TP / (2 TP + FP + FN), and their mean; a class that neither occurs nor is predicted has
 * none. */
#include <math.h>

#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    const int64_t k = s->task == SKIVE_TASK_LABELS ? s->targets : s->classes;
    double sum = 0, known = 0;
    skv_scored_counts(s, weight, scratch, scratch + k, scratch + 2 * k);
    for (int64_t c = 0; c < k; c++) {
        const double f1 = skv_f1(scratch[c], scratch[k + c], scratch[2 * k + c]);
        if (isnan(f1)) continue;
        sum += f1;
        known++;
    }
    return known > 0 ? sum / known : (double)NAN;
}

const skv_metric skv_metric_f1_macro = {
    .name = "f1-macro",
    .title = "F1 macro",
    .brief = "mean of the F1 of all classes or labels",
    .tasks = SKV_OF_CLASSES | SKV_OF(SKIVE_TASK_LABELS) | SKV_OF(SKIVE_TASK_PLACES),
    .form = SKIVE_FIGURE_RATIO,
    .by_column = true,
    .field = SKV_REPORT(f1_macro),
    .value = value,
};
