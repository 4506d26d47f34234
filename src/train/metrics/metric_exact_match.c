/* Of several labels a sample: the share of the samples with all labels right (subset accuracy). */
#include "train/metric.h"

static bool fits(const skv_scored *s) { return s->targets > 1; }

static double sample(const skv_scored *s, int64_t i) { return s->hit[i]; }

const skv_metric skv_metric_exact_match = {
    .name = "exact-match",
    .title = "all labels right",
    .brief = "share of the samples with all labels right",
    .tasks = SKV_OF(SKIVE_TASK_LABELS),
    .form = SKIVE_FIGURE_PERCENT,
    .proportion = true,
    .field = SKV_REPORT(accuracy),
    .fits = fits,
    .sample = sample,
};
