/* The depthwise convolution for any CPU. */
#include "kernels/vector4.h"
#define DEPTHWISE_LOOPS skv_depthwise_scalar
#include "kernels/depthwise_loops.h"
