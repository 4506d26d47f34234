/* Cosine of the angle between output and target, mean over the samples; one that is all zeros has none. */
#include "train/metric.h"

static bool fits(const skv_scored *s) { return s->targets > 1; }

static double sample(const skv_scored *s, int64_t i) { return s->cosine[i]; }

const skv_metric skv_metric_cosine = {
    .name = "cosine",
    .title = "cosine similarity",
    .brief = "mean cosine of output and target; for several targets a sample",
    .tasks = SKV_OF(SKIVE_TASK_VALUES),
    .form = SKIVE_FIGURE_RATIO,
    .fits = fits,
    .sample = sample,
};
