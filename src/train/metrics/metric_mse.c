/* Mean squared error over all targets. */
#include "train/metric.h"

static double sample(const skv_scored *s, int64_t i) { return s->error[i]; }

const skv_metric skv_metric_mse = {
    .name = "mse",
    .title = "MSE",
    .brief = "mean squared error",
    .tasks = SKV_OF(SKIVE_TASK_VALUES),
    .form = SKIVE_FIGURE_NUMBER,
    .less = true,
    .field = SKV_REPORT(mse),
    .sample = sample,
};
