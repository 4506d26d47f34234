/* Shared by ArgMax and ArgMin. */
#ifndef SKV_OPS_COMMON_ARG_H
#define SKV_OPS_COMMON_ARG_H

#include "ops/common_shape.h"

extern const skv_attr_spec skv_arg_attrs[3]; /* axis, keepdims, select_last_index */
skive_status skv_arg_infer(skv_infer *c);
/* `wanted` 1: the index of the largest; -1: of the smallest. */
skive_status skv_arg_run(const skv_eval *c, int wanted);

void skv_arg_couple(skv_couple *c);

#endif
