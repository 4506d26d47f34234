/* The integer loops for any CPU. */
#define LOOPS skv_q8_loops_scalar
#include "kernels/int8/loops_body.h"
