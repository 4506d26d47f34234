/* The loops of pooling, compiled for AVX2. */
#define POOL_MAX skv_pool_max_avx2
#define POOL_SUM skv_pool_sum_avx2
#include "kernels/pool_loops.h"
