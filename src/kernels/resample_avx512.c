/* Resize between elements, compiled for AVX-512. */
#define RESAMPLE_LOOPS skv_resample_avx512
#include "kernels/resample_loops.h"
