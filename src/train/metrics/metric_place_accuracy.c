/* Of labels of places: the share of all places that count whose class has the highest score (pixel accuracy). */
#include <math.h>

#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    const int64_t k = s->classes;
    double right = 0, all = 0;
    skv_scored_counts(s, weight, scratch, scratch + k, scratch + 2 * k);
    for (int64_t c = 0; c < k; c++) {
        right += scratch[c];
        all += scratch[2 * k + c];
    }
    return all > 0 ? right / all : (double)NAN;
}

const skv_metric skv_metric_place_accuracy = {
    .name = "place-accuracy",
    .title = "accuracy of places",
    .brief = "of labels of places (pixels): share of the places whose class has the highest score",
    .tasks = SKV_OF(SKIVE_TASK_PLACES),
    .form = SKIVE_FIGURE_PERCENT,
    .field = SKV_REPORT(accuracy),
    .value = value,
};
