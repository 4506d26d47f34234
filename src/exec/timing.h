/* What measurements of plans share. */
#ifndef SKV_EXEC_TIMING_H
#define SKV_EXEC_TIMING_H

#include <skive/exec.h>

#include "base/base.h"

/* Random numbers for the float32 ones of the first n inputs; of integers zero is a valid index, anything else may not
 * be. */
skive_status skv_timing_fill(skive_context *ctx, skive_exec *exec, size_t n);
/* times [n], ascending */
void skv_timing_sort(double *times, size_t n);

#endif
