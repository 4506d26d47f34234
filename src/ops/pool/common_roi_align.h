/* Shared by RoiAlign and its gradient: the points of a region, and the elements between which they lie. */
#ifndef SKV_OPS_COMMON_ROI_ALIGN_H
#define SKV_OPS_COMMON_ROI_ALIGN_H

#include "ops/common_nn.h"

extern const skv_attr_spec skv_roi_align_attrs[6];

typedef struct skv_roi {
    double y, x, step_y, step_x; /* start, and size of a cell */
    int64_t points_y, points_x;  /* in a cell, each way */
} skv_roi;
/* `roi` [x1, y1, x2, y2], divided into height x width cells */
skv_roi skv_roi_of(const skive_node *n, const double *roi, int64_t height, int64_t width);

/* Four corners of a point and their weights; none outside the map. */
typedef struct skv_roi_corners {
    int64_t at[4];
    double weight[4];
} skv_roi_corners;
/* Point i, counted row by row, of a cell, on a map of height x width. */
skv_roi_corners skv_roi_point(const skv_roi *r, int64_t row, int64_t column, int64_t i, int64_t height, int64_t width);

#endif
