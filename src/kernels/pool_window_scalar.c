/* The loops of pooling, compiled for any CPU. */
#define POOL_MAX skv_pool_max_scalar
#define POOL_SUM skv_pool_sum_scalar
#include "kernels/pool_loops.h"
