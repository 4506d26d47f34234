/* Shared by the window functions: w[n] = a - b cos(2 pi n / N) + c cos(4 pi n / N), where N is the size, or one less
 * when not periodic. */
#ifndef SKV_OPS_COMMON_WINDOW_H
#define SKV_OPS_COMMON_WINDOW_H

#include "ops/common_shape.h"

extern const skv_attr_spec skv_window_attrs[2]; /* output_datatype, periodic */
skive_status skv_window_infer(skv_infer *c);
skive_status skv_window_run(const skv_eval *c, const double abc[3]);

#define SKV_WINDOW_OP                                                                                           \
    .domain = "", .since = 17, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .attrs = skv_window_attrs, \
    .n_attrs = 2, .infer = skv_window_infer, .cost = skv_cost_per_element

#endif
