/* Element-wise work on two and three operands, compiled for any CPU. */
#define ELEMENTS_LOOPS skv_elements_scalar
#include "kernels/elements_loops.h"
