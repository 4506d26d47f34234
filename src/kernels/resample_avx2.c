/* Resize between elements, compiled for AVX2. */
#define RESAMPLE_LOOPS skv_resample_avx2
#include "kernels/resample_loops.h"
