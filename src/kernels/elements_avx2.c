/* Element-wise work on two and three operands, compiled for AVX2. */
#define ELEMENTS_LOOPS skv_elements_avx2
#include "kernels/elements_loops.h"
