/* Log loss: the mean cross-entropy of the probabilities with what is true; of sequences minus the log-probability of
 * the whole sequence (CTC). */
#include "train/metric.h"

static double sample(const skv_scored *s, int64_t i) { return s->error[i]; }

const skv_metric skv_metric_log_loss = {
    .name = "log-loss",
    .title = "cross-entropy",
    .brief = "mean cross-entropy of the probabilities with what is true; of labels, of each decision",
    .tasks = SKV_OF_CLASSES | SKV_OF(SKIVE_TASK_LABELS) | SKV_OF(SKIVE_TASK_SEQUENCES) | SKV_OF(SKIVE_TASK_PLACES),
    .form = SKIVE_FIGURE_RATIO,
    .less = true,
    .field = SKV_REPORT(loss),
    .sample = sample,
};
