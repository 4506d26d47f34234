/* BatchNormalization's loops, compiled for AVX-512. */
#include <stddef.h>

#define NORM_LOOPS skv_norm_loops_avx512
#include "kernels/norm_batch_loops.h"
