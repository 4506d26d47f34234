/* Reductions, compiled for AVX-512. */
#define REDUCE_LOOPS skv_reduce_avx512
#define LANES        64
#include "kernels/reduce_loops.h"
