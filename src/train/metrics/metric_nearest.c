/* Of embeddings: the share of the samples whose nearest other sample, by the cosine, is of their class (recall at
 * 1). */
#include "train/metric.h"

static double sample(const skv_scored *s, int64_t i) { return s->hit[i]; }

const skv_metric skv_metric_nearest = {
    .name = "nearest",
    .title = "nearest neighbour",
    .brief = "share of the samples whose nearest other sample is of their class",
    .tasks = SKV_OF(SKIVE_TASK_EMBEDDING),
    .form = SKIVE_FIGURE_PERCENT,
    .proportion = true,
    .field = SKV_REPORT(accuracy),
    .sample = sample,
};
