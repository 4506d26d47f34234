/* The loops of pooling, compiled for AVX-512. */
#define POOL_MAX skv_pool_max_avx512
#define POOL_SUM skv_pool_sum_avx512
#include "kernels/pool_loops.h"
