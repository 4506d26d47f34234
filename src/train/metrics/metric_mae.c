/* Mean absolute error over all targets, in their units. */
#include "train/metric.h"

static double sample(const skv_scored *s, int64_t i) { return s->absolute[i]; }

const skv_metric skv_metric_mae = {
    .name = "mae",
    .title = "MAE",
    .brief = "mean absolute error, in the targets' units",
    .tasks = SKV_OF(SKIVE_TASK_VALUES),
    .form = SKIVE_FIGURE_NUMBER,
    .less = true,
    .field = SKV_REPORT(mae),
    .sample = sample,
};
