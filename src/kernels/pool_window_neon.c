/* The loops of pooling, compiled for NEON. */
#define POOL_MAX skv_pool_max_neon
#define POOL_SUM skv_pool_sum_neon
#include "kernels/pool_loops.h"
