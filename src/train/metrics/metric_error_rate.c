/* Character error rate: edits of all samples divided by the labels of all samples. */
#include <math.h>

#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    double edits = 0, labels = 0;
    (void)scratch;
    for (int64_t i = 0; i < s->n; i++) {
        edits += skv_weight_of(weight, i) * s->distance[i];
        labels += skv_weight_of(weight, i) * s->length[i];
    }
    return labels > 0 ? edits / labels : (double)NAN;
}

const skv_metric skv_metric_error_rate = {
    .name = "error-rate",
    .title = "error rate",
    .brief = "edits divided by the number of true labels (character error rate)",
    .tasks = SKV_OF(SKIVE_TASK_SEQUENCES),
    .form = SKIVE_FIGURE_PERCENT,
    .less = true,
    .value = value,
};
