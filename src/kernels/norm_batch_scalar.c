/* BatchNormalization's loops, for any CPU. */
#include <stddef.h>

#define NORM_LOOPS skv_norm_loops_scalar
#include "kernels/norm_batch_loops.h"
