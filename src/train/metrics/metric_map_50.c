/* Mean average precision of boxes at an intersection over union of 0.5 (Everingham et al. 2010), counted as COCO
 * does. */
#include "train/metric.h"

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    (void)scratch;
    return skv_boxes_map(s, weight, 0, 1);
}

const skv_metric skv_metric_map_50 = {
    .name = "map-50",
    .title = "mAP at IoU 0.5",
    .brief = "of boxes: mean average precision at an intersection over union of 0.5",
    .tasks = SKV_OF(SKIVE_TASK_BOXES),
    .form = SKIVE_FIGURE_RATIO,
    .value = value,
};
