/* Shared by Det and its gradient. */
#ifndef SKV_OPS_COMMON_DET_H
#define SKV_OPS_COMMON_DET_H

#include <stdint.h>

/* The determinant of a [n][n], which is destroyed; of an empty matrix 1. */
double skv_determinant(double *a, int64_t n);

#endif
