/* Root of the mean squared error over all targets, in their units. */
#include <math.h>

#include "train/metric.h"

static double sample(const skv_scored *s, int64_t i) { return s->error[i]; }

static double root(double mean) { return sqrt(mean > 0 ? mean : 0); }

const skv_metric skv_metric_rmse = {
    .name = "rmse",
    .title = "RMSE",
    .brief = "root of the mean squared error, in the targets' units",
    .tasks = SKV_OF(SKIVE_TASK_VALUES),
    .form = SKIVE_FIGURE_NUMBER,
    .less = true,
    .field = SKV_REPORT(rmse),
    .sample = sample,
    .of_mean = root,
};
