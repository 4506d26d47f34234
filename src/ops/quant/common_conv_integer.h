/* ConvInteger and its form with float32 output. */
#ifndef SKV_OPS_COMMON_CONV_INTEGER_H
#define SKV_OPS_COMMON_CONV_INTEGER_H

#include "ops/quant/common_integer.h"

/* Inputs; the last two only of ConvIntegerToFloat. */
enum { SKV_CI_X, SKV_CI_W, SKV_CI_X_ZERO, SKV_CI_W_ZERO, SKV_CI_SCALE, SKV_CI_BIAS };

#define SKV_CONV_INTEGER_ATTRS                                                                \
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL}, {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},  \
        {"group", SKV_ATTR_INT, SKV_OPTIONAL}, {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL}, \
        {"pads", SKV_ATTR_INTS, SKV_OPTIONAL}, {                                              \
        "strides", SKV_ATTR_INTS, SKV_OPTIONAL                                                \
    }

skive_status skv_infer_conv_integer(skv_infer *c); /* output 0 except its element type */
/* The exact sums, as many as output 0 has elements. Freed by skv_free. */
skive_status skv_conv_integer(const skv_eval *c, double **sums);

#endif
