/* Accuracy: the share of the samples whose highest score is that of their class. */
#include "train/metric.h"

static bool fits(const skv_scored *s) { return s->task != SKIVE_TASK_LABELS || s->targets == 1; }

static double sample(const skv_scored *s, int64_t i) { return s->hit[i]; }

const skv_metric skv_metric_accuracy = {
    .name = "accuracy",
    .title = "accuracy",
    .brief = "share of the samples whose class has the highest score",
    .tasks = SKV_OF_CLASSES | SKV_OF(SKIVE_TASK_LABELS),
    .form = SKIVE_FIGURE_PERCENT,
    .proportion = true,
    .field = SKV_REPORT(accuracy),
    .fits = fits,
    .sample = sample,
};
