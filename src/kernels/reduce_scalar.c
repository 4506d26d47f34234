/* Reductions, compiled for any CPU. */
#define REDUCE_LOOPS skv_reduce_scalar
#define LANES        32
#include "kernels/reduce_loops.h"
