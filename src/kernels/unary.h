/* Loops of functions of one f32 element, for each instruction set. */
#ifndef SKV_UNARY_H
#define SKV_UNARY_H

#include <stdint.h>

#include "base/base.h"
#include "ops/common_pointwise.h"

/* y[i] = f(x[i]), for functions with a loop in ops/pointwise.inc, with the parameters a, b (alpha and beta; the limits
 * of Clip). y may be x. Sigmoid and Exp are within
 * 4 units in the last place, Tanh and Erf within 4e-7 of the result and never beyond 1, Elu and Celu within 2e-7 of 1
 * besides; the others are the rounded results. */
typedef void skv_unary_loop(skv_pointwise f, float a, float b, const float *x, float *y, int64_t n);
skv_unary_loop skv_unary_scalar, skv_unary_avx2, skv_unary_avx512;
skv_unary_loop *skv_unary_loop_of(skv_isa isa);

#endif
