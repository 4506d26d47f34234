/* Reductions, compiled for AVX2. */
#define REDUCE_LOOPS skv_reduce_avx2
#define LANES        32
#include "kernels/reduce_loops.h"
