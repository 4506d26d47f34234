/* BatchNormalization's loops, compiled for AVX2. */
#include <stddef.h>

#define NORM_LOOPS skv_norm_loops_avx2
#include "kernels/norm_batch_loops.h"
