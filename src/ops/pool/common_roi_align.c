/* See common_roi_align.h. */
#include "ops/pool/common_roi_align.h"

#include <string.h>

const skv_attr_spec skv_roi_align_attrs[6] = {{"coordinate_transformation_mode", SKV_ATTR_STRING, SKV_OPTIONAL},
                                              {"mode", SKV_ATTR_STRING, SKV_OPTIONAL},
                                              {"output_height", SKV_ATTR_INT, SKV_OPTIONAL},
                                              {"output_width", SKV_ATTR_INT, SKV_OPTIONAL},
                                              {"sampling_ratio", SKV_ATTR_INT, SKV_OPTIONAL},
                                              {"spatial_scale", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skv_roi_corners corners_of(double y, double x, int64_t height, int64_t width) {
    skv_roi_corners k = {{0}, {0}};
    if (!(y >= -1 && y <= (double)height && x >= -1 && x <= (double)width)) return k;
    y = fmax(y, 0);
    x = fmax(x, 0);
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + 1, x1 = x0 + 1;
    if (y0 >= height - 1) y0 = y1 = height - 1, y = (double)y0;
    if (x0 >= width - 1) x0 = x1 = width - 1, x = (double)x0;
    const double fy = y - (double)y0, fx = x - (double)x0;
    return (skv_roi_corners){{y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1},
                             {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}};
}

skv_roi_corners skv_roi_point(const skv_roi *r, int64_t row, int64_t column, int64_t i, int64_t height, int64_t width) {
    const int64_t down = i / r->points_x, right = i % r->points_x;
    const double y = r->y + ((double)row + ((double)down + 0.5) / (double)r->points_y) * r->step_y;
    const double x = r->x + ((double)column + ((double)right + 0.5) / (double)r->points_x) * r->step_x;
    return corners_of(y, x, height, width);
}

static int64_t points_in(double step, int64_t ratio) {
    const double n = ratio > 0 ? (double)ratio : ceil(step);
    return n >= 1 && n <= 1024 ? (int64_t)n : n > 1024 ? 1024 : 1;
}

skv_roi skv_roi_of(const skive_node *n, const double *roi, int64_t height, int64_t width) {
    const double scale = skv_attr_float(n, "spatial_scale", 1);
    const bool half = strcmp(skv_attr_string(n, "coordinate_transformation_mode", "half_pixel"), "half_pixel") == 0;
    const double offset = half ? 0.5 : 0;
    const int64_t ratio = skv_attr_int(n, "sampling_ratio", 0);
    double w = roi[2] * scale - roi[0] * scale, h = roi[3] * scale - roi[1] * scale;
    if (!half) w = fmax(w, 1), h = fmax(h, 1);
    skv_roi r = {roi[1] * scale - offset, roi[0] * scale - offset, h / (double)height, w / (double)width, 0, 0};
    r.points_y = points_in(r.step_y, ratio);
    r.points_x = points_in(r.step_x, ratio);
    return r;
}
