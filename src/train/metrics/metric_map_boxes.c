/* Mean average precision of boxes (Lin et al. 2014): mean over the intersections over union 0.5, 0.55 ... 0.95. */
#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    (void)scratch;
    return skv_boxes_map(s, weight, 0, SKV_BOX_THRESHOLDS);
}

const skv_metric skv_metric_map_boxes = {
    .name = "map-boxes",
    .title = "mAP, 0.5 to 0.95",
    .brief = "of boxes: the same, mean over intersections over union from 0.5 to 0.95",
    .tasks = SKV_OF(SKIVE_TASK_BOXES),
    .form = SKIVE_FIGURE_RATIO,
    .field = SKV_REPORT(map),
    .value = value,
};
