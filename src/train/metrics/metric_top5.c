/* Top-5 accuracy: fewer than five classes come before the true one. It means nothing for five classes. */
#include "train/metric.h"

enum { TOP = 5 };

static bool fits(const skv_scored *s) { return s->classes > TOP; }

static double sample(const skv_scored *s, int64_t i) { return s->above[i] < TOP; }

const skv_metric skv_metric_top5 = {
    .name = "top5",
    .title = "top-5",
    .brief = "share of the samples whose class is among the five with the highest scores; from six classes on",
    .tasks = SKV_OF(SKIVE_TASK_CLASSES),
    .form = SKIVE_FIGURE_PERCENT,
    .proportion = true,
    .field = SKV_REPORT(top5),
    .fits = fits,
    .sample = sample,
};
