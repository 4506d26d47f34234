/* Element-wise work on two and three operands, compiled for AVX-512. */
#define ELEMENTS_LOOPS skv_elements_avx512
#include "kernels/elements_loops.h"
