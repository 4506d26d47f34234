/* Of several labels a sample: the share of the samples with all labels right (subset accuracy); of sequences, with the
 * whole sequence right. */
#include "train/metric.h"

static bool fits(const skv_scored *s) { return s->task == SKIVE_TASK_SEQUENCES || s->targets > 1; }

static double sample(const skv_scored *s, int64_t i) { return s->hit[i]; }

const skv_metric skv_metric_exact_match = {
    .name = "exact-match",
    .title = "all labels right",
    .brief = "share of the samples with all labels right",
    .tasks = SKV_OF(SKIVE_TASK_LABELS) | SKV_OF(SKIVE_TASK_SEQUENCES),
    .form = SKIVE_FIGURE_PERCENT,
    .proportion = true,
    .field = SKV_REPORT(accuracy),
    .fits = fits,
    .sample = sample,
};
